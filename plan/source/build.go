package source

import (
	"archive/tar"
	"compress/gzip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"hapair/remote"
)

//go:embed build.sh
var buildScript string

// Site is where a program is built.
type Site struct {
	Host  remote.Runner
	Dir   string            // on the host; made when it is not there, root's alone
	Log   io.Writer         // hears all that the tools say
	Stage func(what string) // hears what is being done: "configure", "compile"; may be nil
}

// Build builds r, from a tarball that Fetch returned, and leaves the result in
// the cache. The host gets one command, with source and patches on its
// standard input, and keeps nothing. An error is a *BuildError, or what Fetch
// would say of the tarball.
func (c Cache) Build(ctx context.Context, at Site, r Recipe, p Platform, tarball string) error {
	path := c.build(r.Key(p))
	out, err := temp(path)
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()

	// The bundle is written while the host reads it. A host that fails stops
	// reading, and that ends the writing.
	in, bundle := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeBundle(bundle, tarball, r)
		bundle.CloseWithError(err)
		written <- err
	}()

	var now string
	said := remote.NewLines(func(line string) {
		if what, ok := strings.CutPrefix(line, "hapair: "); ok {
			now = what
			if at.Stage != nil {
				at.Stage(what)
			}
		}
		fmt.Fprintln(at.Log, line)
	})
	// The name ties what an interrupted build left to this recipe.
	argv := []string{"sh", "-c", buildScript, "sh", r.Product, at.Dir, r.Product + "-" + r.ID()[:12], r.Prefix, r.Test}
	_, err = at.Host.Run(ctx, remote.Cmd{
		Name:   "build " + r.String(),
		Argv:   append(argv, r.Args...),
		Stdin:  in,
		Stdout: out,
		Stderr: said,
	})
	said.Close()
	in.CloseWithError(errHostDone)
	if bad := <-written; bad != nil && !errors.Is(bad, errHostDone) {
		return bad
	}
	if err == nil {
		err = checkBuild(out.Name())
	}
	if err == nil {
		err = c.keep(r.Key(p), out)
	}
	if err != nil {
		return &BuildError{Recipe: r, Stage: now, Err: err}
	}
	return nil
}

var errHostDone = errors.New("the host reads no more")

// keep makes a complete build an entry of the cache. The sum comes last.
func (c Cache) keep(key string, f *os.File) error {
	if err := f.Close(); err != nil {
		return err
	}
	sum, _, err := sumFile(f.Name())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), c.build(key)); err != nil {
		return err
	}
	return put(c.buildSum(key), []byte(sum+"\n"))
}

// Open is the build in the cache, verified, and its size. A damaged one is
// removed, and then is not there.
func (c Cache) Open(key string) (*os.File, int64, error) {
	want, err := os.ReadFile(c.buildSum(key))
	if err != nil {
		return nil, 0, reason(err)
	}
	got, size, err := sumFile(c.build(key))
	if err != nil || got != strings.TrimSpace(string(want)) {
		os.Remove(c.buildSum(key))
		os.Remove(c.build(key))
		return nil, 0, errors.New("it was damaged and is removed: run it again")
	}
	f, err := os.Open(c.build(key))
	return f, size, err
}

// writeBundle writes what build.sh reads. Every header is written anew from
// what walk let through, so no host ever sees the tarball as it came.
func writeBundle(w io.Writer, tarball string, r Recipe) error {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer f.Close()
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out := tar.NewWriter(zip)
	err = walk(f, func(h *tar.Header, content io.Reader) error {
		if h.Typeflag == tar.TypeLink {
			h.Linkname = "src/" + h.Linkname
		}
		h.Name = "src/" + h.Name
		if h.Typeflag == tar.TypeDir {
			h.Mode = 0o755
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(out, content)
		return err
	})
	if err != nil {
		return err
	}
	for i, p := range r.Patches {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: fmt.Sprintf("patches/%03d-%s", i+1, p.Name),
			Mode: 0o644, Size: int64(len(p.Content)), ModTime: time.Unix(0, 0),
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := out.Write(p.Content); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), zip.Close())
}

// checkBuild refuses a build that is not whole.
func checkBuild(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("the host sent no build: %w", err)
	}
	in := tar.NewReader(zip)
	sums, programs := false, 0
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("the build was cut off on its way: %w", err)
		}
		switch {
		case h.Name == "sums":
			sums = true
		case h.Typeflag == tar.TypeReg && h.Mode&0o111 != 0:
			programs++
		}
	}
	if _, err := io.Copy(io.Discard, zip); err != nil {
		return fmt.Errorf("the build was cut off on its way: %w", err)
	}
	if !sums || programs == 0 {
		return errors.New("the host sent a build without a program in it")
	}
	return nil
}
