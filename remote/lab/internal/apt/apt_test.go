package apt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseList(t *testing.T) {
	in := `# the distribution
deb http://mirror.example/debian/ bookworm main contrib # non-free
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] https://vendor.example/apt	stable main

deb-src [ trusted=yes ] http://mirror.example/debian bookworm main
deb http://flat.example/repo ./
`
	got, err := ParseList(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := []Source{
		{Types: []string{"deb"}, URIs: []string{"http://mirror.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"main", "contrib"}},
		{Types: []string{"deb"}, URIs: []string{"https://vendor.example/apt"}, Suites: []string{"stable"}, Components: []string{"main"}, SignedBy: "/usr/share/keyrings/a.gpg"},
		{Types: []string{"deb-src"}, URIs: []string{"http://mirror.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"main"}, Trusted: "yes"},
		{Types: []string{"deb"}, URIs: []string{"http://flat.example/repo"}, Suites: []string{"./"}, Components: []string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseDeb822(t *testing.T) {
	in := `Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
 http://second.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg


Enabled: no
Types: deb
URIs: http://off.example
Suites: bookworm

types: deb
uris: http://inline.example/debian
suites: bookworm
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQ==
 -----END PGP PUBLIC KEY BLOCK-----
`
	got, err := ParseDeb822(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := []Source{
		{
			Types: []string{"deb", "deb-src"}, URIs: []string{"http://mirror.example/debian", "http://second.example/debian"},
			Suites: []string{"bookworm", "bookworm-updates"}, Components: []string{"main"},
			SignedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
		},
		{
			Types: []string{"deb"}, URIs: []string{"http://inline.example/debian"}, Suites: []string{"bookworm"}, Components: []string{},
			SignedBy: "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END PGP PUBLIC KEY BLOCK-----",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFormatIsReadBack(t *testing.T) {
	want := []Source{
		{Types: []string{"deb"}, URIs: []string{"http://a.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"main"}, Trusted: "yes"},
		{Types: []string{"deb"}, URIs: []string{"http://b.example"}, Suites: []string{"x", "y"}, Components: []string{"main"}, SignedBy: "\n BEGIN\n END"},
	}
	got, err := ParseDeb822(strings.NewReader(Format(want)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for in, want := range map[string]string{
		"deb [arch=amd64 http://x bookworm main": "line 1: options without",
		"\ndeb http://x":                         "line 2: want a type",
	} {
		if _, err := ParseList(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseList(%q): %v, want %q in it", in, err, want)
		}
	}
	for in, want := range map[string]string{
		"Types: deb\nURIs http://x":  "line 2: want",
		" continued":                 "line 1: continues",
		"Types: deb\nURIs: http://x": "ends in line 2: want Types",
	} {
		if _, err := ParseDeb822(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDeb822(%q): %v, want %q in it", in, err, want)
		}
	}
}

func TestMachineSources(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"sources.list":                 "deb http://one.example/debian bookworm main\n",
		"sources.list.d/two.list":      "deb http://two.example/debian bookworm main\n",
		"sources.list.d/three.sources": "Types: deb\nURIs: http://three.example/debian\nSuites: bookworm\nComponents: main\n",
		"sources.list.d/off.list.bak":  "deb http://off.example/debian bookworm main\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := MachineSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sources {
		got = append(got, s.URIs...)
	}
	want := []string{"http://one.example/debian", "http://two.example/debian", "http://three.example/debian"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDistribution(t *testing.T) {
	archive := func(uri, suite string) (bool, error) { return strings.HasSuffix(uri, "debian"), nil }
	deb := func(uri string, suites ...string) Source {
		return Source{Types: []string{"deb"}, URIs: []string{uri}, Suites: suites, Components: []string{"main"}}
	}
	machine := []Source{
		{Types: []string{"deb", "deb-src"}, URIs: []string{"http://m.example/debian"}, Suites: []string{"bookworm", "bookworm-updates", "bookworm-backports"},
			Components: []string{"main", "contrib"}, SignedBy: "/k.gpg"},
		deb("http://vendor.example/apt", "bookworm"), // another vendor, same suite
		deb("http://m.example/debian", "trixie"),     // another release
		deb("cdrom:[Debian]/debian", "bookworm"),     // not HTTP
		{Types: []string{"deb-src"}, URIs: []string{"http://m.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"main"}},
		{Types: []string{"deb"}, URIs: []string{"http://m.example/debian"}, Suites: []string{"bookworm"}, Components: []string{"non-free"}},
		deb("http://security.example/debian", "bookworm-security"),
	}
	got, err := Distribution(machine, "bookworm", archive)
	if err != nil {
		t.Fatal(err)
	}
	release := deb("http://m.example/debian", "bookworm", "bookworm-updates")
	release.SignedBy = "/k.gpg"
	want := []Source{release, deb("http://security.example/debian", "bookworm-security")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	if _, err := Distribution(machine[1:3], "bookworm", archive); err == nil || !strings.Contains(err.Error(), "no http mirror of bookworm") {
		t.Errorf("without a mirror: %v", err)
	}
	down := errors.New("connection refused")
	if _, err := Distribution(machine, "bookworm", func(string, string) (bool, error) { return false, down }); !errors.Is(err, down) {
		t.Errorf("with a mirror that is down: %v, want its error", err)
	}
}

func TestCodename(t *testing.T) {
	got, err := codename("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n")
	if got != "bookworm" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	_, err = codename("PRETTY_NAME=\"Fedora Linux 40\"\nID=fedora\nVERSION_CODENAME=\"\"\n")
	if err == nil || !strings.Contains(err.Error(), "Fedora Linux 40") {
		t.Errorf("on Fedora: %v, want an error that names it", err)
	}
}
