package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// manifestFormat is the version of a manifest as JSON.
const manifestFormat = "1.0"

// Manifest is what hapair put on a host for one pair, as it is written there
// (templates.Layout.Manifest): so that what left the spec can be removed, and
// hapair's own told from what was there before, with no state anywhere else.
// It holds no secrets but the sums of files that do, and is root's alone.
//
// While an apply is under way it names both what was there and what is coming,
// so that nothing is ever on a host that no manifest knows.
type Manifest struct {
	Format   string           `json:"format"`
	Pair     string           `json:"pair"`
	Host     string           `json:"host"`
	Account  ManifestAccount  `json:"account"`
	Packages []string         `json:"packages,omitempty"` // installed by hapair; sorted
	Masked   []string         `json:"masked,omitempty"`   // the distribution's units that must not run
	Programs []ManifestRecord `json:"programs,omitempty"`
	Dirs     []ManifestDir    `json:"dirs"`  // sorted
	Files    []ManifestFile   `json:"files"` // sorted by path
	Units    []string         `json:"units"`
	// Pending is what still has to happen for the files to count, while an
	// apply is under way. One that is interrupted leaves it to the next.
	Pending []pending `json:"pending,omitempty"`
}

// pending is something that a host still has to do.
type pending string

const (
	restartRedis      pending = "restart redis"
	reloadKeepalived  pending = "reload keepalived"
	restartKeepalived pending = "restart keepalived"
	restartSyslog     pending = "restart rsyslog"
	renewGuard        pending = "renew guard"
)

// ManifestAccount is who owns Redis' files.
type ManifestAccount struct {
	User      string `json:"user"`
	Group     string `json:"group"`
	MadeUser  bool   `json:"made_user"` // by hapair
	MadeGroup bool   `json:"made_group"`
}

// ManifestRecord is a program that was built and installed; its own files are
// listed in the record beside the manifest.
type ManifestRecord struct {
	Product string `json:"product"`
	Version string `json:"version"`
	ID      string `json:"id"`
	Record  string `json:"record"`
}

// ManifestDir is a folder.
type ManifestDir struct {
	Dir  string `json:"dir"`
	Made bool   `json:"made"` // by hapair
}

// ManifestFile is a file. Its key is what observing a host looks for.
type ManifestFile struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Backup string `json:"backup,omitempty"` // where what was there before is kept
}

// readManifest is nil for one that another version of hapair wrote, or nobody.
func readManifest(content []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	major, _, _ := strings.Cut(manifestFormat, ".")
	if got, _, _ := strings.Cut(m.Format, "."); got != major {
		return nil, fmt.Errorf("read manifest: its format is %q, this hapair knows %s", m.Format, manifestFormat)
	}
	return &m, nil
}

// bytes is the manifest as it is written: the same for the same content, a
// line for each file.
func (m *Manifest) bytes() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic(err) // strings and booleans cannot fail
	}
	return b.Bytes()
}

func (m *Manifest) file(path string) (ManifestFile, bool) {
	if m != nil {
		for _, f := range m.Files {
			if f.Path == path {
				return f, true
			}
		}
	}
	return ManifestFile{}, false
}

func (m *Manifest) program(product string) (ManifestRecord, bool) {
	if m != nil {
		for _, r := range m.Programs {
			if r.Product == product {
				return r, true
			}
		}
	}
	return ManifestRecord{}, false
}

func (m *Manifest) dir(path string) (ManifestDir, bool) {
	if m != nil {
		for _, d := range m.Dirs {
			if d.Dir == path {
				return d, true
			}
		}
	}
	return ManifestDir{}, false
}

// joined is m with all that old names besides: the manifest of the time between
// the two.
func (m *Manifest) joined(old *Manifest) *Manifest {
	if old == nil {
		return m
	}
	both := *m
	both.Packages = union(m.Packages, old.Packages)
	both.Masked = union(m.Masked, old.Masked)
	both.Units = union(m.Units, old.Units)
	both.Dirs = slices.Clone(m.Dirs)
	for _, d := range old.Dirs {
		if _, known := m.dir(d.Dir); !known {
			both.Dirs = append(both.Dirs, d)
		}
	}
	both.Files = slices.Clone(m.Files)
	for _, f := range old.Files {
		if _, known := m.file(f.Path); !known {
			both.Files = append(both.Files, f)
		}
	}
	both.Programs = slices.Clone(m.Programs)
	for _, r := range old.Programs {
		if !slices.ContainsFunc(m.Programs, func(n ManifestRecord) bool { return n.Record == r.Record }) {
			both.Programs = append(both.Programs, r)
		}
	}
	slices.SortFunc(both.Dirs, func(a, b ManifestDir) int { return strings.Compare(a.Dir, b.Dir) })
	slices.SortFunc(both.Files, func(a, b ManifestFile) int { return strings.Compare(a.Path, b.Path) })
	return &both
}

// with is m and what is still to do.
func (m *Manifest) with(todo []pending) *Manifest {
	more := *m
	more.Pending = todo
	return &more
}

// union is a and what else is in b, sorted.
func union(a, b []string) []string {
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}
