package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFetch(t *testing.T) {
	content := tarball(t, version, file("r/filler", strings.Repeat("0123456789", 20_000)))
	other := tarball(t, version)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/good":
			w.Write(content)
		case "/other":
			w.Write(other)
		case "/moved":
			http.Redirect(w, req, "/good", http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "1000000")
			w.Write(content)
		default:
			http.NotFound(w, req)
		}
	}))
	defer server.Close()
	local := filepath.Join(t.TempDir(), "redis.tar.gz")
	half := filepath.Join(t.TempDir(), "half.tar.gz")
	if err := errors.Join(os.WriteFile(local, content, 0o600), os.WriteFile(half, content[:len(content)/2], 0o600)); err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(nil)
	gone.Close()

	for name, c := range map[string]struct {
		urls []string
		want []string // in the error, a part for each URL; none: it works
	}{
		"http":              {[]string{server.URL + "/good"}, nil},
		"redirected":        {[]string{server.URL + "/moved"}, nil},
		"path":              {[]string{local}, nil},
		"file URL":          {[]string{"file://" + local}, nil},
		"second try":        {[]string{server.URL + "/gone", "/nowhere/x.tar.gz", local}, nil},
		"wrong sha256":      {[]string{server.URL + "/other"}, []string{"wrong sha256: got " + sum(other)}},
		"truncated":         {[]string{half}, []string{"wrong sha256"}},
		"cut off":           {[]string{server.URL + "/cut"}, []string{"cut off after " + strconv.Itoa(len(content)) + " bytes of 1000000"}},
		"not found":         {[]string{server.URL + "/gone"}, []string{"the server answers 404 Not Found"}},
		"unreachable":       {[]string{gone.URL + "/x"}, []string{"connection refused"}},
		"no such file":      {[]string{"/nowhere/x.tar.gz"}, []string{"/nowhere/x.tar.gz: no such file"}},
		"folder":            {[]string{filepath.Dir(local)}, []string{"is a folder"}},
		"unknown scheme":    {[]string{"ftp://host/x"}, []string{`cannot fetch "ftp"`}},
		"all of them":       {[]string{gone.URL + "/x", half}, []string{"none of 2 URLs", "connection refused", "wrong sha256"}},
		"password unspoken": {[]string{"http://user:hunter2@" + strings.TrimPrefix(gone.URL, "http://") + "/x"}, []string{"http://user:xxxxx@"}},
	} {
		t.Run(name, func(t *testing.T) {
			cache := Cache{Dir: t.TempDir()}
			r := Recipe{Product: "redis", Version: "7.0.15", URLs: c.urls, SHA256: sum(content)}
			var last, total int64
			path, err := cache.Fetch(context.Background(), r, func(d, of int64) { last, total = d, of })
			if c.want != nil {
				var failed *FetchError
				if !errors.As(err, &failed) || len(failed.Tries) != len(c.urls) {
					t.Fatalf("got %v, want a *FetchError with %d tries", err, len(c.urls))
				}
				for _, part := range c.want {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("got %q, want %q in it", err, part)
					}
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%q shows the password", err)
				}
				left(t, cache.Dir, 0)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
				t.Error("the cache holds something else")
			}
			if last != int64(len(content)) || total != last {
				t.Errorf("progress ended with %d of %d, want %d", last, total, len(content))
			}
			left(t, cache.Dir, 1)

			r.URLs = []string{"/nowhere"}
			if _, err := cache.Fetch(context.Background(), r, nil); err != nil {
				t.Errorf("a second fetch does not use the cache: %v", err)
			}
			if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := cache.Fetch(context.Background(), r, nil); err == nil {
				t.Error("a damaged file in the cache is trusted")
			}
		})
	}
}

// A server that goes silent must not hold up a cancelled fetch.
func TestFetchCancelled(t *testing.T) {
	started := make(chan bool)
	release := make(chan bool)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		close(started)
		<-release
	}))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-started; cancel() }()
	r := Recipe{Product: "redis", Version: "7.0.15", URLs: []string{server.URL, server.URL}, SHA256: sum(nil)}
	_, err := Cache{Dir: t.TempDir()}.Fetch(ctx, r, nil)
	var failed *FetchError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || len(failed.Tries) != 1 {
		t.Fatalf("got %v, want one try that was cancelled", err)
	}
}

// left fails the test unless the cache holds n tarballs and nothing else.
func left(t *testing.T, dir string, n int) {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(got) != n {
		t.Errorf("the cache holds %q, want %d files", got, n)
	}
	hidden, _ := filepath.Glob(filepath.Join(dir, "*", ".new-*"))
	if len(hidden) > 0 {
		t.Errorf("left behind: %q", hidden)
	}
}
