package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, pkg, version string }{
		{"redis-7.0.15", "redis", "7.0.15"},
		{"valkey", "valkey", ""},
		{"some-tool-1.2~rc1", "some-tool", "1.2~rc1"},
		{"some-tool", "some-tool", ""},
	} {
		if pkg, version := splitName(c.name); pkg != c.pkg || version != c.version {
			t.Errorf("splitName(%q) = %q, %q", c.name, pkg, version)
		}
	}
	for in, want := range map[string]string{
		"5:7.0.15-1~deb12u7": "7.0.15",
		"9.1.2-1":            "9.1.2",
		"1:2.3.3-1+b1":       "2.3.3",
		"20230101":           "20230101",
	} {
		if got := upstream(in); got != want {
			t.Errorf("upstream(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMadisonVersions(t *testing.T) {
	out := ` redis | 5:7.0.15-1~deb12u7 | http://m.example/debian bookworm/main Sources
     redis | 5:8.0.2-3 | http://m.example/debian trixie/main Sources
     redis | 5:8.0.2-3 | http://m.example/debian sid/main Sources
     redis | 5:9 | http://m.example/debian sid/main amd64 Packages
 redis-tools | 5:8.0.6-3 | http://m.example/debian sid/main Sources
`
	want := []string{"5:7.0.15-1~deb12u7", "5:8.0.2-3"}
	if diff := cmp.Diff(want, madisonVersions([]byte(out), "redis")); diff != "" {
		t.Error(diff)
	}
}

func TestOrigTarball(t *testing.T) {
	out := `Reading package lists...
NOTICE: 'redis' packaging is maintained in the 'Git' version control system at:
Need to get 3,073 kB of source archives.
'http://m.example/debian/pool/main/r/redis/redis_7.0.15-1%7edeb12u7.dsc' redis_7.0.15-1~deb12u7.dsc 1960 SHA256:70
'http://m.example/debian/pool/main/r/redis/redis_7.0.15.orig.tar.gz' redis_7.0.15.orig.tar.gz 3025940 SHA256:4b
'http://m.example/debian/pool/main/r/redis/redis_7.0.15-1%7edeb12u7.debian.tar.xz' redis_7.0.15-1~deb12u7.debian.tar.xz 45456 SHA256:14
`
	got, ok := origTarball([]byte(out))
	want := remoteFile{uri: "http://m.example/debian/pool/main/r/redis/redis_7.0.15.orig.tar.gz", file: "redis_7.0.15.orig.tar.gz", sha256: "4b"}
	if !ok || got != want {
		t.Errorf("got %+v, %v", got, ok)
	}
	if _, ok := origTarball([]byte("'http://m.example/x_1.tar.xz' x_1.tar.xz 1 SHA256:00\n")); ok {
		t.Error("took a native package's tarball for an upstream one")
	}
}

// TestFetch needs the machine's Debian mirror.
func TestFetch(t *testing.T) {
	dir := t.TempDir()
	got, err := Fetch(t.Context(), dir, "keepalived-2.2.7", "redis-0.0.1")
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Name != "redis-0.0.1" || len(missing.Have) == 0 {
		t.Fatalf("got %v, want that redis-0.0.1 is missing, and what there is", err)
	}
	if len(got) != 1 || got[0].Name != "keepalived-2.2.7" || !strings.HasPrefix(got[0].Path, dir) {
		t.Fatalf("got %+v", got)
	}
	data, err := os.ReadFile(got[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != got[0].SHA256 {
		t.Errorf("%s is not the file that its SHA256 says", got[0].Path)
	}

	again, err := Fetch(t.Context(), dir, "keepalived-2.2.7")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("from the cache: %s", diff)
	}

	if err := os.WriteFile(got[0].Path, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(t.Context(), dir, "keepalived-2.2.7"); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a truncated tarball in the cache: %v, want an error", err)
	}
}
