package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FetchError is a tarball that none of its URLs gave.
type FetchError struct {
	Recipe Recipe
	Tries  []Try
}

// Try is one URL and what went wrong with it.
type Try struct {
	URL string // without a password
	Err error
}

func (e *FetchError) Error() string {
	if len(e.Tries) == 1 {
		return fmt.Sprintf("fetch %s: %s: %v", e.Recipe, e.Tries[0].URL, e.Tries[0].Err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "fetch %s: none of %d URLs has it:", e.Recipe, len(e.Tries))
	for _, t := range e.Tries {
		fmt.Fprintf(&b, "\n  %s: %v", t.URL, t.Err)
	}
	return b.String()
}

// Unwrap gives the reasons, one for each URL.
func (e *FetchError) Unwrap() []error {
	var errs []error
	for _, t := range e.Tries {
		errs = append(errs, t.Err)
	}
	return errs
}

// SumError is a file that is not the one that the spec names.
type SumError struct {
	Got, Want string // SHA-256
	Size      int64  // bytes received
}

func (e *SumError) Error() string {
	return fmt.Sprintf("wrong sha256: got %s (%d bytes), the spec wants %s", e.Got, e.Size, e.Want)
}

// Fetch has the recipe's tarball in the cache and returns its path: verified
// against its sum, and checked entry by entry. progress hears the bytes done
// and in total (0: not known); it may be nil. An error is a *FetchError or a
// *TarballError.
func (c Cache) Fetch(ctx context.Context, r Recipe, progress func(done, total int64)) (string, error) {
	path := c.tarball(r.SHA256)
	if got, _, err := sumFile(path); err != nil || got != r.SHA256 {
		if err := c.download(ctx, r, path, progress); err != nil {
			return "", err
		}
	}
	if err := check(path, r); err != nil {
		return "", err
	}
	return path, nil
}

func (c Cache) download(ctx context.Context, r Recipe, path string, progress func(done, total int64)) error {
	failed := &FetchError{Recipe: r}
	for _, u := range r.URLs {
		err := fetch(ctx, u, r.SHA256, path, progress)
		if err == nil {
			return nil
		}
		failed.Tries = append(failed.Tries, Try{URL: shown(u), Err: err})
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// fetch puts what u gives at path, when it is what want says.
func fetch(ctx context.Context, u, want, path string, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in, total, err := open(ctx, u)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := temp(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()

	stalled := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stalled.Stop()
	hash := sha256.New()
	count := &counter{total: total, tell: progress, alive: func() { stalled.Reset(stallTimeout) }}
	if _, err := io.Copy(io.MultiWriter(f, hash, count), in); err != nil {
		if cause := context.Cause(ctx); cause == errStalled {
			err = cause
		}
		return fmt.Errorf("cut off after %d bytes%s: %w", count.done, ofTotal(total), err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return &SumError{Got: got, Want: want, Size: count.done}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// The deadlines of a download. None limits how long a large file on a slow
// line may take, as long as it comes.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = 30 * time.Second
	stallTimeout  = 30 * time.Second // between two reads
)

var errStalled = fmt.Errorf("nothing came for %s", stallTimeout)

var client = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
	TLSHandshakeTimeout:   dialTimeout,
	ResponseHeaderTimeout: answerTimeout,
	DisableKeepAlives:     true, // one file each; leave no connection behind
}}

func open(ctx context.Context, raw string) (io.ReadCloser, int64, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, 0, errors.New("not a URL")
	}
	switch u.Scheme {
	case "http", "https":
		return get(ctx, raw)
	case "file":
		return openFile(u.Path)
	case "":
		return openFile(raw)
	}
	return nil, 0, fmt.Errorf("cannot fetch %q: use https, http, file or a path", u.Scheme)
}

func openFile(path string) (io.ReadCloser, int64, error) {
	f, err := os.Open(filepath.FromSlash(path))
	if err != nil {
		return nil, 0, reason(err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("is a folder")
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func get(ctx context.Context, raw string) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw, nil)
	if err != nil {
		return nil, 0, reason(err)
	}
	// The sum is that of the file as it lies on the server.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, reason(err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, 0, fmt.Errorf("the server answers %s", resp.Status)
	}
	return resp.Body, max(resp.ContentLength, 0), nil
}

// reason is err without what its reader knows: the URL or the path.
func reason(err error) error {
	var inURL *url.Error
	var inPath *os.PathError
	switch {
	case errors.As(err, &inURL):
		return inURL.Err
	case errors.As(err, &inPath):
		return inPath.Err
	}
	return err
}

// counter tells how many bytes have gone by.
type counter struct {
	done, total int64
	tell        func(done, total int64)
	alive       func()
}

func (c *counter) Write(p []byte) (int, error) {
	c.done += int64(len(p))
	if c.alive != nil {
		c.alive()
	}
	if c.tell != nil {
		c.tell(c.done, c.total)
	}
	return len(p), nil
}

func ofTotal(total int64) string {
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d", total)
}
