package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hapair/remote/lab/internal/apt"
)

// image holds what makes a Debian tree a lab host: root/ is copied over it.
//
//go:embed all:image
var image embed.FS

// packages make a small server: what an administrator finds after a minimal
// installation, and no compiler.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2",
	"iputils-ping", "procps", "kmod", "nftables", "rsyslog", "ca-certificates",
}

// base is a base image in the cache.
type base struct {
	Root      string
	Mirrors   []apt.Source // the distribution's entries, one URI each
	AptChecks string
}

// cacheDir keeps what outlives labs: base images and downloaded packages.
func cacheDir() string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "hapair", "lab")
	}
	return "/var/cache/hapair/lab"
}

func packageCache() string { return filepath.Join(cacheDir(), "packages") }

// ensureBase finds the base image in the cache or builds it there. An image
// appears whole or not at all, and is built once however many ask for it.
func ensureBase(ctx context.Context, progress func(string)) (base, error) {
	codename, err := apt.Codename()
	if err != nil {
		return base{}, err
	}
	machine, err := apt.MachineSources("/etc/apt")
	if err != nil {
		return base{}, err
	}
	key, err := recipe(codename, machine)
	if err != nil {
		return base{}, err
	}
	dir := filepath.Join(cacheDir(), "base-"+key)
	if b, err := readBase(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}

	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return base{}, err
	}
	cache, err := os.Open(cacheDir())
	if err != nil {
		return base{}, err
	}
	defer cache.Close()
	if err := waitLockDir(cache); err != nil {
		return base{}, fmt.Errorf("lock %s: %w", cacheDir(), err)
	}
	if b, err := readBase(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err // another process was faster
	}
	// We hold the lock, so what lies there half made is an interrupted build's.
	leftovers, _ := filepath.Glob(filepath.Join(cacheDir(), "building-*"))
	for _, d := range leftovers {
		if err := os.RemoveAll(d); err != nil {
			return base{}, err
		}
	}
	progress("base image: Debian " + codename + ", built once (half a minute)")
	building := filepath.Join(cacheDir(), "building-"+key)
	if err := buildBase(ctx, building, codename, machine); err != nil {
		return base{}, errors.Join(fmt.Errorf("build the base image: %w", err), os.RemoveAll(building))
	}
	if err := os.Rename(building, dir); err != nil {
		return base{}, err
	}
	return readBase(dir)
}

func readBase(dir string) (base, error) {
	data, err := os.ReadFile(filepath.Join(dir, "base.json"))
	if err != nil {
		return base{}, err
	}
	var b base
	if err := json.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("%s: %w (remove that directory and try again)", dir, err)
	}
	b.Root = filepath.Join(dir, "root")
	return b, nil
}

// recipe is a hash over all that a base image depends on. Time is not part of
// it: an image is as old as its cache.
func recipe(codename string, machine []apt.Source) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, codename, runtime.GOARCH, packages, apt.Format(machine))
	err := fs.WalkDir(image, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := image.ReadFile(name)
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

// buildBase makes the image in dir. Packages come through a forwarder, as they
// do for hosts, so that a second build finds them in its cache.
func buildBase(ctx context.Context, dir, codename string, machine []apt.Source) error {
	client, err := apt.Client(ctx)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	var b base
	if b.Mirrors, err = apt.Distribution(machine, codename, apt.IsDebian(ctx, client)); err != nil {
		return err
	}
	if b.AptChecks, err = apt.Checks(ctx); err != nil {
		return err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: newForwarder(client, b.Mirrors, packageCache(), "")}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { server.Close(); <-served }()

	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	customize := filepath.Join(dir, "customize.sh")
	script, err := image.ReadFile("image/customize.sh")
	if err != nil {
		return err
	}
	if err := os.WriteFile(customize, script, 0o755); err != nil {
		return err
	}
	// mmdebstrap mounts things in the new tree. In namespaces of its own they
	// go with it, however it ends.
	argv := []string{
		"--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
		"--include=" + strings.Join(packages, ","),
		"--aptopt=APT::Sandbox::User \"root\"", // nobody else may read root's cache
		"--customize-hook=" + customize,
	}
	for line := range strings.Lines(b.AptChecks) {
		argv = append(argv, "--aptopt="+strings.TrimSpace(line))
	}
	cmd := exec.CommandContext(ctx, "unshare", append(argv, codename, root, "-")...)
	dieWithParent(cmd)
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = []string{"PATH=" + hostPath, "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.Stdin = strings.NewReader(apt.Format(forwarded(b.Mirrors, listener.Addr().String())))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("mmdebstrap: %w:\n%s", err, lastLines(log.Bytes(), 15))
	}
	if err := os.Remove(customize); err != nil {
		return err
	}
	if err := finishImage(root, b); err != nil {
		return err
	}
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "base.json"), data, 0o644)
}

// finishImage puts the lab's own files into a new image.
func finishImage(root string, b base) error {
	files, err := fs.Sub(image, "image/root")
	if err != nil {
		return err
	}
	if err := os.CopyFS(root, files); err != nil {
		return err
	}
	for _, name := range []string{
		"etc/apt/apt.conf.d/99mmdebstrap", "etc/apt/sources.list", "etc/apt/sources.list.d/0000main.sources",
		"etc/resolv.conf", // there is no name server: an absent file fails at once
	} {
		if err := os.Remove(filepath.Join(root, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(root, "etc/apt/apt.conf.d/91machine"), []byte(b.AptChecks), 0o644); err != nil {
		return err
	}
	const enabled = "etc/systemd/system/multi-user.target.wants/lab-network.service"
	if err := os.Symlink("/etc/systemd/system/lab-network.service", filepath.Join(root, enabled)); err != nil {
		return err
	}
	// Entries name their keyring by path, so it has to be there as well.
	for _, m := range b.Mirrors {
		if !strings.HasPrefix(m.SignedBy, "/") {
			continue
		}
		keyring := filepath.Join(root, m.SignedBy)
		if _, err := os.Stat(keyring); err == nil {
			continue
		}
		data, err := os.ReadFile(m.SignedBy)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(keyring), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(keyring, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lastLines is the end of a log, for an error text.
func lastLines(log []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
