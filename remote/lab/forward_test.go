package lab

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hapair/remote/lab/internal/apt"
)

// upstream is a mirror that counts what it is asked for.
type upstream struct {
	asked atomic.Int32
	serve http.HandlerFunc
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.asked.Add(1)
	u.serve(w, r)
}

// startForwarder puts a forwarder in front of a mirror and returns its address.
func startForwarder(t *testing.T, mirror http.Handler, sources string) (url, cache string) {
	t.Helper()
	origin := httptest.NewServer(mirror)
	t.Cleanup(origin.Close)
	cache = t.TempDir()
	front := httptest.NewServer(newForwarder(origin.Client(),
		[]apt.Source{{URIs: []string{origin.URL + "/debian"}}}, cache, sources))
	t.Cleanup(front.Close)
	return front.URL, cache
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestForwarderFetchesAPackageOnce(t *testing.T) {
	release := make(chan struct{})
	mirror := &upstream{serve: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/debian/pool/x_1.deb" {
			http.NotFound(w, r)
			return
		}
		<-release
		io.WriteString(w, "package")
	}}
	url, _ := startForwarder(t, mirror, "")
	var hosts sync.WaitGroup
	for range 5 {
		hosts.Go(func() {
			if code, body := get(t, url+"/apt/0/pool/x_1.deb"); code != 200 || body != "package" {
				t.Errorf("got %d %q", code, body)
			}
		})
	}
	close(release)
	hosts.Wait()
	if n := mirror.asked.Load(); n != 1 {
		t.Errorf("the mirror was asked %d times for one package", n)
	}
	if code, _ := get(t, url+"/apt/0/pool/y_1.deb"); code != 404 {
		t.Errorf("a package that isn't there: %d", code)
	}
	if code, _ := get(t, url+"/apt/1/pool/x_1.deb"); code != 404 {
		t.Errorf("a mirror that isn't there: %d", code)
	}
}

func TestForwarderAsksForIndicesUntilTheMirrorIsDown(t *testing.T) {
	content, up := "one", true
	mirror := &upstream{serve: func(w http.ResponseWriter, r *http.Request) {
		if !up {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, content)
	}}
	url, _ := startForwarder(t, mirror, "")
	index := url + "/apt/0/dists/bookworm/InRelease"
	if _, body := get(t, index); body != "one" {
		t.Errorf("got %q", body)
	}
	content = "two"
	if _, body := get(t, index); body != "two" {
		t.Errorf("a changed index: got %q", body)
	}
	up = false
	if code, body := get(t, index); code != 200 || body != "two" {
		t.Errorf("with the mirror down: got %d %q", code, body)
	}
	if code, _ := get(t, url+"/apt/0/dists/bookworm/other"); code != 502 {
		t.Errorf("what was never fetched, with the mirror down: %d", code)
	}
}

func TestForwarderKeepsNoHalfFile(t *testing.T) {
	mirror := &upstream{serve: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
	}}
	url, cache := startForwarder(t, mirror, "")
	if code, _ := get(t, url+"/apt/0/pool/x_1.deb"); code != 502 {
		t.Errorf("a download that breaks off: %d", code)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 0 {
		t.Errorf("the cache holds %v, %v", left, err)
	}
}

func TestForwarderServesSourcesAndNothingAround(t *testing.T) {
	dir := t.TempDir()
	sources := filepath.Join(dir, "sources")
	if err := os.Mkdir(sources, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"secret": "secret", "sources/redis-1.tar.gz": "tarball"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	url, _ := startForwarder(t, http.NotFoundHandler(), sources)
	if _, body := get(t, url+"/sources/redis-1.tar.gz"); body != "tarball" {
		t.Errorf("got %q", body)
	}
	for _, path := range []string{"/sources/../secret", "/sources/%2e%2e/secret", "/apt/0/..%2f..%2fsecret"} {
		if _, body := get(t, url+path); strings.Contains(body, "secret") {
			t.Errorf("%s leads out of the directory", path)
		}
	}
}
