package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
)

//go:embed put.sh
var putScript string

//go:embed remove.sh
var removeScript string

// WriteFiles puts files in place with one command and one stream. Each is
// written under a temporary name in its directory (which must exist), given
// its owner and mode there, and renamed only when all of them have come that
// far. So a path holds either what it held or the whole new content, and an
// error, which names the file, leaves nothing half-written behind.
//
// A path that is a symbolic link is replaced by the file, not followed. A
// Runner that is not root can only give files to itself.
func WriteFiles(ctx context.Context, r Runner, files []File) error {
	if len(files) == 0 {
		return nil
	}
	s := newFileStream()
	for _, f := range files {
		if err := CheckPath(f.Path); err != nil {
			return err
		}
		owner := orRoot(f.Owner) + ":" + orRoot(f.Group)
		s.add(f.Path, owner, f.Mode, int64(len(f.Content)), bytes.NewReader(f.Content))
	}
	if _, err := r.Run(ctx, Cmd{Name: "write files", Argv: []string{"sh", "-c", putScript}, Stdin: s.reader()}); err != nil {
		return err
	}
	return nil
}

// RemoveFiles removes files with one command. One that is not there is no
// error; a directory is.
func RemoveFiles(ctx context.Context, r Runner, paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	for _, p := range paths {
		if err := CheckPath(p); err != nil {
			return err
		}
	}
	stdin := strings.NewReader(strings.Join(paths, "\n") + "\n")
	if _, err := r.Run(ctx, Cmd{Name: "remove files", Argv: []string{"sh", "-c", removeScript}, Stdin: stdin}); err != nil {
		return err
	}
	return nil
}

// UploadByRun does what Uploader promises with nothing but a Runner, for hosts
// without sftp.
func UploadByRun(ctx context.Context, r Runner, content io.Reader, size int64, path string, mode fs.FileMode) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	s := newFileStream()
	whole := &wholeReader{r: content, rest: size}
	s.add(path, "-", mode, size, whole)
	_, err := r.Run(ctx, Cmd{Name: "write " + path, Argv: []string{"sh", "-c", putScript}, Stdin: s.reader()})
	if local := whole.failed(); err != nil && local != nil {
		return local // which is why the host's end of it failed
	}
	return err
}

// wholeReader reads rest bytes, no fewer and no more.
type wholeReader struct {
	r    io.Reader
	mu   sync.Mutex
	rest int64
	err  error
}

func (w *wholeReader) Read(p []byte) (int, error) {
	w.mu.Lock()
	rest := w.rest
	w.mu.Unlock()
	if rest == 0 {
		return 0, io.EOF
	}
	n, err := w.r.Read(p[:min(int64(len(p)), rest)])
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest -= int64(n)
	if err == io.EOF && w.rest > 0 {
		err = fmt.Errorf("the content ended %d bytes too soon", w.rest)
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func (w *wholeReader) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// fileStream is the standard input of put.sh, which says its form.
type fileStream struct{ parts []io.Reader }

func newFileStream() *fileStream {
	s := &fileStream{}
	s.line(strings.ToLower(rand.Text()))
	return s
}

func (s *fileStream) line(text string) {
	s.parts = append(s.parts, strings.NewReader(text+"\n"))
}

// add appends a file whose content is size bytes.
func (s *fileStream) add(path, owner string, mode fs.FileMode, size int64, content io.Reader) {
	s.line(fmt.Sprintf("%d %04o %s", size, UnixMode(mode), owner))
	s.line(path)
	s.parts = append(s.parts, content)
}

func (s *fileStream) reader() io.Reader {
	s.line("end")
	return io.MultiReader(s.parts...)
}

// CheckPath refuses what cannot be the path of a file on a host: it must be
// absolute, clean, and without line breaks.
func CheckPath(p string) error {
	switch {
	case !path.IsAbs(p) || path.Clean(p) != p || p == "/":
		return fmt.Errorf("%q is not a clean absolute path of a file", p)
	case strings.ContainsAny(p, "\n\x00"):
		return fmt.Errorf("%q: a path on a host may not hold a line break or NUL", p)
	}
	return nil
}

func orRoot(name string) string {
	if name == "" {
		return "root"
	}
	return name
}

// UnixMode is mode as chmod and stat have it: 0o4755 for setuid and 0755.
func UnixMode(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	for i, bit := range specialBits {
		if mode&bit != 0 {
			m |= 0o1000 << i
		}
	}
	return m
}

// FileMode is the inverse of UnixMode.
func FileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m) & fs.ModePerm
	for i, bit := range specialBits {
		if m&(0o1000<<i) != 0 {
			mode |= bit
		}
	}
	return mode
}

var specialBits = [...]fs.FileMode{fs.ModeSticky, fs.ModeSetgid, fs.ModeSetuid}
