package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// TarballError is a tarball with the right sum that must not be built.
type TarballError struct {
	Recipe Recipe
	Entry  string // the entry at fault; empty: the file as a whole
	Err    error
}

func (e *TarballError) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("tarball of %s: %v", e.Recipe, e.Err)
	}
	return fmt.Sprintf("tarball of %s: entry %q: %v", e.Recipe, e.Entry, e.Err)
}

func (e *TarballError) Unwrap() error { return e.Err }

// Bounds of what a tarball may unpack to; Redis 8 has 3,000 entries, 30 MB.
const (
	maxEntries  = 100_000
	maxUnpacked = 2 << 30
)

// check reads all of a tarball: that it is whole, stays in its own folder, and
// holds the version that the recipe says.
func check(file string, r Recipe) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var held string
	err = walk(f, func(h *tar.Header, content io.Reader) error {
		if held == "" && h.Typeflag == tar.TypeReg {
			held, err = versionIn(r.Product, h.Name, content)
		}
		return err
	})
	var told *TarballError
	switch {
	case errors.As(err, &told):
		told.Recipe = r
		return told
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &TarballError{Recipe: r, Err: fmt.Errorf("it is truncated: %w", err)}
	case err != nil:
		return &TarballError{Recipe: r, Err: err}
	case r.Product != "keepalived" && held == "":
		return &TarballError{Recipe: r, Err: fmt.Errorf("it holds no %s: src/version.h names no version of it", r.Product)}
	case held != "" && held != r.Version:
		return &TarballError{Recipe: r, Err: fmt.Errorf("it holds version %s, the spec says %s", held, r.Version)}
	}
	return nil
}

// walk calls each for every entry of a gzipped tar, its name and links
// relative to the one folder that the tarball unpacks to (which itself is not
// an entry). It refuses whatever could reach out of that folder.
func walk(r io.Reader, each func(h *tar.Header, content io.Reader) error) error {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("it is not a .tar.gz: %w", err)
	}
	in := tar.NewReader(io.LimitReader(unzipped, maxUnpacked))
	names := entries{links: map[string]bool{}, files: map[string]bool{}}
	for n := 0; ; n++ {
		h, err := in.Next()
		if err == io.EOF {
			if n == 0 {
				return errors.New("it is empty")
			}
			// The checksum of gzip is behind the end of tar.
			_, err = io.Copy(io.Discard, unzipped)
			return err
		}
		if err != nil {
			return fmt.Errorf("read it: %w", err)
		}
		if n == maxEntries {
			return fmt.Errorf("it has more than %d entries", maxEntries)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // git archive's note of the commit
		}
		name := h.Name
		if err := names.strip(h); err != nil {
			return &TarballError{Entry: name, Err: err}
		}
		if h.Name == "." {
			continue
		}
		if err := each(h, in); err != nil {
			return err
		}
	}
}

// entries remembers what a tarball has unpacked so far.
type entries struct {
	top          string
	links, files map[string]bool
}

// strip takes the top folder off the header's names and makes it harmless:
// nothing but plain files, folders and links that stay inside.
func (e *entries) strip(h *tar.Header) error {
	name, err := e.inside(h.Name)
	if err != nil {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if e.links[dir] {
			return fmt.Errorf("lies behind the link %q", dir)
		}
	}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeReg:
	case tar.TypeSymlink:
		if err := linkInside(name, h.Linkname); err != nil {
			return err
		}
	case tar.TypeLink:
		target, err := e.inside(h.Linkname)
		if err != nil || !e.files[target] {
			return fmt.Errorf("is a link to %q, which the tarball does not hold", h.Linkname)
		}
		h.Linkname = target
	default:
		return errors.New("is neither a file, a folder nor a link")
	}
	if h.Typeflag == tar.TypeSymlink {
		e.links[name] = true // for good: a folder of that name comes too late
	}
	e.files[name] = h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeLink
	*h = tar.Header{
		Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname,
		Size: h.Size, Mode: h.Mode & 0o755, ModTime: h.ModTime, Format: tar.FormatPAX,
	}
	return nil
}

// inside is name without the top folder, "." for that folder itself.
func (e *entries) inside(name string) (string, error) {
	switch {
	case path.IsAbs(name):
		return "", errors.New("is an absolute path")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", errors.New(`leads out with ".."`)
	}
	top, rest, _ := strings.Cut(path.Clean(name), "/")
	if top == "." {
		return ".", nil
	}
	if e.top == "" {
		e.top = top
	}
	if top != e.top {
		return "", fmt.Errorf("is not in the folder %q, as the first entry is", e.top)
	}
	if rest == "" {
		return ".", nil
	}
	return rest, nil
}

// linkInside refuses a link at name whose target leaves the top folder. No
// entry lies behind a link, so the leading ".." of a target climb real folders;
// a later one could climb from wherever another link leads, so there is none.
func linkInside(name, target string) error {
	if path.IsAbs(target) {
		return fmt.Errorf("is a link to the absolute path %q", target)
	}
	depth := strings.Count(name, "/")
	down := false
	for _, part := range strings.Split(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || down {
				return fmt.Errorf("is a link that leads out: %q", target)
			}
		default:
			down = true
		}
	}
	return nil
}

var (
	redisVersion      = regexp.MustCompile(`(?m)^#define REDIS_VERSION "([^"]+)"`)
	valkeyVersion     = regexp.MustCompile(`(?m)^#define VALKEY_VERSION "([^"]+)"`)
	keepalivedVersion = regexp.MustCompile(`(?m)^PACKAGE_VERSION='([^']+)'`)
)

// versionIn is the version that an entry tells, empty when it does not.
func versionIn(product, name string, content io.Reader) (string, error) {
	var pattern *regexp.Regexp
	switch {
	case product == "keepalived" && name == "configure":
		pattern = keepalivedVersion
	case product == "valkey" && name == "src/version.h":
		pattern = valkeyVersion
	case product == "redis" && name == "src/version.h":
		pattern = redisVersion
	default:
		return "", nil
	}
	const enough = 1 << 20
	text, err := io.ReadAll(io.LimitReader(content, enough))
	if err != nil {
		return "", err
	}
	if pattern == redisVersion && bytes.Contains(text, []byte("VALKEY_VERSION")) {
		return "", nil // it says which Redis it is compatible with
	}
	if m := pattern.FindSubmatch(text); m != nil {
		return string(m[1]), nil
	}
	return "", nil
}
