package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"

	"hapair/remote/lab/internal/apt"
)

// forwarderPort is where a forwarder listens, on the lab's own address.
const forwarderPort = 3142

// fetchTimeout bounds one file from the machine's mirror.
const fetchTimeout = 10 * time.Minute

// forwarderArgs are the arguments with which a lab starts the program that
// made it once more, to serve packages for as long as the lab is up. The
// listening socket is file descriptor 3, made inside the lab's network; all
// else happens in the machine's own.
func forwarderArgs(name string) []string { return []string{"lab", "forwarder", name} }

// Reexec serves a lab's packages and exits, if that is what this process was
// started for; otherwise it returns at once. Programs that call Up and don't
// have a command "lab forwarder NAME" (which calls ForwarderMain), such as
// tests, call it first.
func Reexec() {
	if len(os.Args) == 4 && slices.Equal(os.Args[1:], forwarderArgs(os.Args[3])) {
		if err := ForwarderMain(os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "lab forwarder:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// ForwarderMain is the hidden command "lab forwarder NAME". It returns when it
// is told to terminate.
func ForwarderMain(args []string) error {
	if len(args) != 1 {
		return errors.New("want the name of a lab; it is started by \"lab up\", not by people")
	}
	s, err := readState(args[0])
	if err != nil {
		return err
	}
	file := os.NewFile(3, "listener")
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("file descriptor 3 is not a listening socket: started by \"lab up\" only: %w", err)
	}
	file.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := apt.Client(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newForwarder(client, s.Mirrors, packageCache(), s.Sources)}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// forwarded are entries as hosts write them to reach mirrors through a
// forwarder.
func forwarded(mirrors []apt.Source, addr string) []apt.Source {
	entries := slices.Clone(mirrors)
	for i := range entries {
		entries[i].URIs = []string{fmt.Sprintf("http://%s/apt/%d", addr, i)}
	}
	return entries
}

// forwarder serves /apt/N/… from the machine's Nth mirror through a cache on
// disk, and /sources/… from a directory.
type forwarder struct {
	client  *http.Client
	mirrors []string
	cache   string
	flights singleflight.Group // one download however many hosts ask
}

// newForwarder keeps files in cache. An empty sources serves none.
func newForwarder(client *http.Client, mirrors []apt.Source, cache, sources string) http.Handler {
	f := &forwarder{client: client, cache: cache}
	for _, m := range mirrors {
		f.mirrors = append(f.mirrors, m.URIs[0])
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apt/{mirror}/{path...}", f.serve)
	if sources != "" {
		mux.Handle("GET /sources/", http.StripPrefix("/sources/", http.FileServer(http.Dir(sources))))
	}
	return mux
}

// notFoundError is a file that the mirror doesn't have.
type notFoundError struct{ url string }

func (e *notFoundError) Error() string { return e.url + ": not found" }

func (f *forwarder) serve(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("mirror"))
	if err != nil || n < 0 || n >= len(f.mirrors) {
		http.NotFound(w, r)
		return
	}
	url := f.mirrors[n] + path.Clean("/"+r.PathValue("path"))
	sum := sha256.Sum256([]byte(url))
	name := filepath.Join(f.cache, hex.EncodeToString(sum[:8])+"-"+path.Base(url))

	// Packages and indices by hash never change under their name. Others are
	// asked for each time, and answered from the cache when the mirror can't.
	immutable := strings.HasSuffix(url, ".deb") || strings.Contains(url, "/by-hash/")
	if _, err := os.Stat(name); err != nil || !immutable {
		_, err, _ := f.flights.Do(name, func() (any, error) { return nil, f.fetch(url, name) })
		if missing := (*notFoundError)(nil); errors.As(err, &missing) {
			http.NotFound(w, r)
			return
		}
		if err != nil {
			log.Printf("%s: %v", url, err)
			if _, statErr := os.Stat(name); statErr != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
	}
	file, err := os.Open(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.ModTime(), file)
}

// fetch brings url to the cache, whole or not at all, and leaves what is there
// when it is still current.
func (f *forwarder) fetch(url, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// Bytes as they are: apt checks their hashes.
	req.Header.Set("Accept-Encoding", "identity")
	if info, err := os.Stat(name); err == nil {
		req.Header.Set("If-Modified-Since", info.ModTime().UTC().Format(http.TimeFormat))
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return nil
	case http.StatusNotFound:
		return &notFoundError{url}
	default:
		return errors.New(resp.Status)
	}

	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.cache, ".fetching-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := io.Copy(tmp, resp.Body); err != nil { // a short body is an error
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if modified, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		if err := os.Chtimes(tmp.Name(), modified, modified); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(tmp.Name(), name)
}
