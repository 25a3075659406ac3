package sshconn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/melbahja/goph"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"hapair/remote"
)

// Upload sends a file over sftp, or through a command where the host has no
// sftp. A Read of r that is under way when ctx ends may end later.
func (h *host) Upload(ctx context.Context, r io.Reader, size int64, file string, mode fs.FileMode) error {
	if err := remote.CheckPath(file); err != nil {
		return err
	}
	temp := path.Join(path.Dir(file), ".hapair."+strings.ToLower(rand.Text()))
	err := h.transfer(ctx, r, size, temp, file, mode)
	if errors.Is(err, errNoSFTP) {
		err = remote.UploadByRun(ctx, h, r, size, file, mode)
	}
	if err == nil {
		return nil
	}
	clean := func(ctx context.Context) {
		// This fails where the host is gone.
		_, _ = h.Run(ctx, remote.Cmd{Argv: []string{"rm", "-f", "--", temp}})
	}
	if ctx.Err() != nil {
		h.chores.Go(clean)
		return fmt.Errorf("%s: upload %s: stopped: %w", h.name, file, ctx.Err())
	}
	clean(ctx)
	return remote.UploadError(ctx, h, file, size, err)
}

var errNoSFTP = errors.New("the host has no sftp")

// transfer returns as soon as ctx ends, though the host may never answer.
func (h *host) transfer(ctx context.Context, r io.Reader, size int64, temp, file string, mode fs.FileMode) error {
	if err := h.acquire(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	if !h.spawn(func() {
		done <- h.send(ctx, r, size, temp, file, mode)
	}) {
		<-h.slots
		return context.Cause(h.gone)
	}
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, errNoSFTP) {
			err = h.failed(err)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *host) send(ctx context.Context, r io.Reader, size int64, temp, file string, mode fs.FileMode) error {
	var channel ssh.Channel
	client, err := goph.Client{Client: h.sessions(ctx, &channel)}.NewSftp(sftp.UseConcurrentWrites(true))
	if channel != nil {
		defer h.release()
		defer channel.Close() // which NewSftp forgets where the host has no sftp
	}
	if err != nil {
		if ctx.Err() == nil && h.gone.Err() == nil {
			err = fmt.Errorf("%w: %w", errNoSFTP, err)
		}
		return err
	}
	defer client.Close()
	// The content is read in a goroutine of its own, as ssh's standard input
	// is: a reader that blocks must not keep the connection from closing.
	content, feed := io.Pipe()
	defer content.Close()
	go func() {
		_, err := io.Copy(feed, readUntil(ctx, r))
		feed.CloseWithError(err)
	}()
	end := func() {
		client.Close()
		content.Close()
	}
	defer context.AfterFunc(ctx, end)()
	defer context.AfterFunc(h.gone, end)()

	f, err := client.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return fmt.Errorf("make private: %w", err)
	}
	n, err := f.ReadFrom(io.LimitReader(content, size))
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if n != size {
		return fmt.Errorf("the content ended after %d of %d bytes", n, size)
	}
	if _, ok := client.HasExtension("fsync@openssh.com"); ok {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
	}
	if err := f.Chmod(mode); err != nil {
		return fmt.Errorf("set mode: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := client.PosixRename(temp, file); err != nil {
		return fmt.Errorf("put in place: %w", err)
	}
	return nil
}
