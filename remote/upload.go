package remote

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// UploadError explains why an upload of size bytes to path failed: it asks the
// host whether there is room, as sftp says no more than "failure" when there
// is none. Uploader implementations end with it, after they have removed what
// was written.
func UploadError(ctx context.Context, h Host, file string, size int64, cause error) error {
	var told *Error
	if errors.As(cause, &told) {
		return cause
	}
	e := &Error{Host: h.String(), Op: "upload", Err: fmt.Errorf("%s: %w", file, cause)}
	full := strings.Contains(cause.Error(), "No space left") || strings.Contains(cause.Error(), "quota exceeded")
	free, err := freeBytes(ctx, h, path.Dir(file))
	if full || err == nil && free < size {
		e.Hint = fmt.Sprintf("Make room in %s, or mount a larger filesystem there, and run it again.", path.Dir(file))
		room := "not enough"
		if err == nil {
			room = mebibytes(free)
		}
		e.Err = fmt.Errorf("%s: no space left on device: %s needed, %s free: %w", file, mebibytes(size), room, cause)
	}
	return e
}

// freeBytes is what a user may still write in dir.
func freeBytes(ctx context.Context, r Runner, dir string) (int64, error) {
	res, err := r.Run(ctx, Cmd{Argv: []string{"df", "-Pk", "--", dir}})
	if err != nil {
		return 0, err
	}
	// POSIX: one header line, then "device blocks used available capacity mount".
	_, row, _ := strings.Cut(string(res.Stdout), "\n")
	fields := strings.Fields(row)
	if len(fields) < 6 {
		return 0, fmt.Errorf("df %s: unexpected answer %q", dir, res.Stdout)
	}
	kib, err := strconv.ParseInt(fields[3], 10, 64)
	return kib << 10, err
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
