// Package sources fetches upstream tarballs from where every Debian machine
// can reach them: the distribution's archive keeps the unchanged upstream
// release of each package ("orig" tarball). So the lab builds Redis and
// keepalived from source on machines that reach a mirror and nothing else.
//
// Everything comes through apt with a private state directory: its signature
// and checksum chain vouches for each file.
package sources

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hapair/remote/lab/internal/apt"
)

// suites are searched for a version; the last one is the newest.
var suites = []string{"bookworm", "trixie", "sid"}

// Stable names tarballs of Debian's stable releases, which stay there for
// years; Latest those of its unstable suite, which move on.
var (
	Stable = []string{"redis-7.0.15", "keepalived-2.2.7", "redis-8.0.2", "keepalived-2.3.3"}
	Latest = []string{"keepalived-2.3.4", "valkey-9.1.2"}
)

// Tarball is one upstream release on this machine.
type Tarball struct {
	Name   string // "redis-7.0.15"
	Path   string
	SHA256 string // lower-case hex
}

// MissingError is a tarball that the archive doesn't have.
type MissingError struct {
	Name string
	Have []string // versions of that package that it has
}

func (e *MissingError) Error() string {
	if len(e.Have) == 0 {
		return fmt.Sprintf("%s: no such source package in the machine's Debian mirror (suites %s)", e.Name, strings.Join(suites, ", "))
	}
	return fmt.Sprintf("%s: the machine's Debian mirror has only %s", e.Name, strings.Join(e.Have, ", "))
}

// Dir is where tarballs are kept by default: $XDG_CACHE_HOME/hapair/sources.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "hapair", "sources"), nil
}

// Fetch returns the named tarballs ("redis-7.0.15", or "valkey" for the newest
// one) in the order of names, and brings those to dir that aren't there yet.
// Of names that the archive lacks it returns a joined *MissingError each,
// along with the tarballs that it has.
func Fetch(ctx context.Context, dir string, names ...string) ([]Tarball, error) {
	found := make([]Tarball, len(names))
	var absent []int
	for i, name := range names {
		t, err := kept(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			absent = append(absent, i)
			continue
		}
		if err != nil {
			return nil, err
		}
		found[i] = t
	}
	if len(absent) == 0 {
		return found, nil
	}

	archive, err := openArchive(ctx)
	if err != nil {
		return nil, err
	}
	defer archive.close()
	var missing []error
	for _, i := range absent {
		remote, err := archive.find(ctx, names[i])
		if m := (*MissingError)(nil); errors.As(err, &m) {
			missing = append(missing, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if found[i], err = archive.download(ctx, dir, remote); err != nil {
			return nil, err
		}
	}
	found = slices.DeleteFunc(found, func(t Tarball) bool { return t.Name == "" })
	return found, errors.Join(missing...)
}

// kept finds a tarball that an earlier Fetch left in dir, and checks it again.
func kept(dir, name string) (Tarball, error) {
	for _, ext := range extensions {
		path := filepath.Join(dir, name+ext)
		line, err := os.ReadFile(path + ".sha256")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Tarball{}, err
		}
		want, _, _ := strings.Cut(string(line), " ")
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Tarball{}, err
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
			return Tarball{}, fmt.Errorf("%s: its SHA256 is not what it was when it was fetched: remove it and try again", path)
		}
		return Tarball{Name: name, Path: path, SHA256: want}, nil
	}
	return Tarball{}, fs.ErrNotExist
}

var extensions = []string{".tar.gz", ".tar.xz", ".tar.bz2"}

// archive is apt with a state directory of its own, in which the mirror's
// source indices are.
type archive struct {
	dir    string
	client *http.Client
	notes  []string // what apt said about suites that the mirror doesn't have
}

func openArchive(ctx context.Context) (_ *archive, err error) {
	client, err := apt.Client(ctx)
	if err != nil {
		return nil, err
	}
	machine, err := apt.MachineSources("/etc/apt")
	if err != nil {
		return nil, err
	}
	codename, err := apt.Codename()
	if err != nil {
		return nil, err
	}
	own, err := apt.Distribution(machine, codename, apt.IsDebian(ctx, client))
	if err != nil {
		return nil, err
	}
	release := own[slices.IndexFunc(own, func(s apt.Source) bool { return slices.Contains(s.Suites, codename) })]

	dir, err := os.MkdirTemp("", "hapair-sources-")
	if err != nil {
		return nil, err
	}
	a := &archive{dir: dir, client: client}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	for _, sub := range []string{"parts", "state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil {
		return nil, err
	}
	var entries []apt.Source
	for _, suite := range suites {
		entry := release
		entry.Types = []string{"deb-src"}
		entry.Suites = []string{suite}
		entries = append(entries, entry)
	}
	if err := os.WriteFile(filepath.Join(dir, "parts", "archive.sources"), []byte(apt.Format(entries)), 0o644); err != nil {
		return nil, err
	}
	// A mirror without one of the suites still serves the others, so what
	// counts is whether the wanted package is found; find says what apt said.
	if _, err := a.apt(ctx, "apt-get", "update"); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		a.notes = append(a.notes, err.Error())
	}
	return a, nil
}

func (a *archive) close() {
	a.client.CloseIdleConnections()
	os.RemoveAll(a.dir)
}

// apt runs one of apt's programs on the private directory.
func (a *archive) apt(ctx context.Context, argv ...string) ([]byte, error) {
	path := func(name string) string { return filepath.Join(a.dir, name) }
	options := []string{
		"-o", "Dir::Etc::SourceList=/dev/null",
		"-o", "Dir::Etc::SourceParts=" + path("parts"),
		"-o", "Dir::State=" + path("state"),
		"-o", "Dir::State::status=" + path("status"),
		"-o", "Dir::Cache=" + path("cache"),
		// Hooks and extra indices of the machine are none of our business.
		"-o", "APT::Update::Post-Invoke=", "-o", "APT::Update::Post-Invoke-Success=",
		"-o", "APT::Sandbox::User=root",
	}
	cmd := exec.CommandContext(ctx, argv[0], append(options, argv[1:]...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// remoteFile is one line of apt-get source --print-uris.
type remoteFile struct {
	uri, file, sha256 string
}

// find looks a tarball up by its name: the package and the upstream version.
func (a *archive) find(ctx context.Context, name string) (remoteFile, error) {
	pkg, version := splitName(name)
	out, err := a.apt(ctx, "apt-cache", "madison", pkg)
	if err != nil {
		return remoteFile{}, err
	}
	have := madisonVersions(out, pkg)
	missing := &MissingError{Name: name}
	for _, v := range have {
		missing.Have = append(missing.Have, pkg+"-"+upstream(v))
	}
	for _, v := range slices.Backward(have) {
		if version != "" && upstream(v) != version {
			continue
		}
		out, err := a.apt(ctx, "apt-get", "source", "--print-uris", "--only-source", pkg+"="+v)
		if err != nil {
			return remoteFile{}, err
		}
		if f, ok := origTarball(out); ok {
			return f, nil
		}
	}
	if len(have) == 0 && len(a.notes) > 0 {
		return remoteFile{}, fmt.Errorf("%s: not found: %s", name, strings.Join(a.notes, "; "))
	}
	return remoteFile{}, missing
}

// download brings one file to dir under its upstream name. It appears there
// whole and verified, or not at all.
func (a *archive) download(ctx context.Context, dir string, f remoteFile) (Tarball, error) {
	name, ext := tarballName(f.file)
	t := Tarball{Name: name, Path: filepath.Join(dir, name+ext), SHA256: f.sha256}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.uri, nil)
	if err != nil {
		return t, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return t, fmt.Errorf("fetch %s: %w", name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return t, fmt.Errorf("fetch %s: %s: %s", name, f.uri, resp.Status)
	}
	tmp, err := os.CreateTemp(dir, "."+name+"-*")
	if err != nil {
		return t, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(tmp, sum), resp.Body); err != nil {
		return t, fmt.Errorf("fetch %s: %w", name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.sha256 {
		return t, fmt.Errorf("fetch %s: %s has the SHA256 %s, the archive's index says %s", name, f.uri, got, f.sha256)
	}
	if err := tmp.Chmod(0o644); err != nil {
		return t, err
	}
	if err := tmp.Close(); err != nil {
		return t, err
	}
	if err := os.Rename(tmp.Name(), t.Path); err != nil {
		return t, err
	}
	// In sha256sum's format, so that people can check it as well.
	return t, os.WriteFile(t.Path+".sha256", []byte(t.SHA256+"  "+filepath.Base(t.Path)+"\n"), 0o644)
}

// splitName parts "redis-7.0.15" into package and upstream version; a name
// without a version means the newest.
func splitName(name string) (pkg, version string) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 || i+1 == len(name) || name[i+1] < '0' || name[i+1] > '9' {
		return name, ""
	}
	return name[:i], name[i+1:]
}

// upstream strips epoch and Debian revision (deb-version(7)).
func upstream(version string) string {
	if i := strings.IndexByte(version, ':'); i >= 0 {
		version = version[i+1:]
	}
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version = version[:i]
	}
	return version
}

// madisonVersions reads "pkg | version | where Sources" lines, in the order of
// the suites: oldest first.
func madisonVersions(out []byte, pkg string) []string {
	var versions []string
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		columns := strings.Split(lines.Text(), "|")
		if len(columns) != 3 || strings.TrimSpace(columns[0]) != pkg || !strings.HasSuffix(columns[2], " Sources") {
			continue
		}
		if v := strings.TrimSpace(columns[1]); !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions
}

// origTarball picks the upstream tarball out of --print-uris lines:
// 'URI' FILE SIZE SHA256:HEX.
func origTarball(out []byte) (remoteFile, bool) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 4 || !strings.HasPrefix(words[0], "'") {
			continue
		}
		sum, ok := strings.CutPrefix(words[3], "SHA256:")
		if _, ext := tarballName(words[1]); !ok || ext == "" {
			continue
		}
		return remoteFile{uri: strings.Trim(words[0], "'"), file: words[1], sha256: sum}, true
	}
	return remoteFile{}, false
}

// tarballName turns "redis_7.0.15.orig.tar.gz" into "redis-7.0.15" and
// ".tar.gz". Any other file has no extension here.
func tarballName(file string) (name, ext string) {
	for _, ext := range extensions {
		if stem, ok := strings.CutSuffix(file, ".orig"+ext); ok {
			return strings.Replace(stem, "_", "-", 1), ext
		}
	}
	return file, ""
}
