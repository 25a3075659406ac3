package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tarball makes a .tar.gz of headers; a file's Linkname is its content.
func tarball(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	out := tar.NewWriter(zip)
	for _, h := range entries {
		var content string
		if h.Typeflag == tar.TypeReg {
			content, h.Linkname = h.Linkname, ""
			h.Size = int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		h.ModTime = time.Unix(1_000_000_000, 0)
		if err := out.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(out.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: content}
}

func program(name, content string) tar.Header {
	h := file(name, content)
	h.Mode = 0o755
	return h
}

func dir(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func hardLink(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}
}

var version = file("r/src/version.h", "#define REDIS_VERSION \"7.0.15\"\n")

func TestCheck(t *testing.T) {
	good := Recipe{Product: "redis", Version: "7.0.15"}
	whole := tarball(t, version, file("r/a", strings.Repeat("text", 50_000)))
	badSum := bytes.Clone(whole)
	badSum[len(badSum)-8] ^= 1
	for name, c := range map[string]struct {
		recipe Recipe
		bytes  []byte
		want   string // in the error; empty: none
	}{
		"plain":                 {good, tarball(t, dir("r/"), version, link("r/l", "src/version.h"), hardLink("r/h", "r/src/version.h")), ""},
		"dot in front":          {good, tarball(t, dir("./"), dir("./r"), file("./"+version.Name, version.Linkname)), ""},
		"link up and down":      {good, tarball(t, version, link("r/a/b/l", "../../src/version.h")), ""},
		"parent folder":         {good, tarball(t, version, file("r/../../etc/cron.d/x", "")), `entry "r/../../etc/cron.d/x": leads out with ".."`},
		"parent, no top":        {good, tarball(t, file("../x", "")), `leads out with ".."`},
		"absolute":              {good, tarball(t, version, file("/etc/passwd", "")), "is an absolute path"},
		"other folder":          {good, tarball(t, version, file("s/x", "")), `is not in the folder "r"`},
		"absolute link":         {good, tarball(t, version, link("r/l", "/etc")), `is a link to the absolute path "/etc"`},
		"link out":              {good, tarball(t, version, link("r/l", "../x")), `is a link that leads out: "../x"`},
		"link out, deep":        {good, tarball(t, version, link("r/a/l", "../../x")), "is a link that leads out"},
		"link that climbs late": {good, tarball(t, version, link("r/k", "."), link("r/l", "k/..")), "is a link that leads out"},
		"behind a link":         {good, tarball(t, version, link("r/l", "src"), file("r/l/x", "")), `lies behind the link "l"`},
		"link made a folder":    {good, tarball(t, version, link("r/l", "src"), dir("r/l"), file("r/l/x", "")), `lies behind the link "l"`},
		"hard link out":         {good, tarball(t, version, hardLink("r/h", "/etc/shadow")), `is a link to "/etc/shadow", which the tarball does not hold`},
		"device":                {good, tarball(t, version, tar.Header{Typeflag: tar.TypeBlock, Name: "r/sda"}), "is neither a file, a folder nor a link"},
		"pipe":                  {good, tarball(t, version, tar.Header{Typeflag: tar.TypeFifo, Name: "r/p"}), "is neither a file, a folder nor a link"},
		"empty":                 {good, tarball(t), "it is empty"},
		"no archive":            {good, []byte("<html>404</html>"), "it is not a .tar.gz"},
		"truncated":             {good, whole[:len(whole)/2], "it is truncated"},
		"without its end":       {good, whole[:len(whole)-6], "it is truncated"},
		"damaged":               {good, badSum, "invalid checksum"},
		"other version":         {Recipe{Product: "redis", Version: "7.2.5"}, whole, "it holds version 7.0.15, the spec says 7.2.5"},
		"other product":         {Recipe{Product: "valkey", Version: "7.0.15"}, whole, "it holds no valkey"},
		"valkey is not redis": {Recipe{Product: "redis", Version: "7.2.4"},
			tarball(t, file("r/src/version.h", "#define VALKEY_VERSION \"9.1.2\"\n#define REDIS_VERSION \"7.2.4\"\n")), "it holds no redis"},
		"keepalived": {Recipe{Product: "keepalived", Version: "2.3.3"},
			tarball(t, file("k/configure", "PACKAGE_VERSION='2.3.3'\n")), ""},
		"other keepalived": {Recipe{Product: "keepalived", Version: "2.3.4"},
			tarball(t, file("k/configure", "PACKAGE_VERSION='2.3.3'\n")), "it holds version 2.3.3"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.tar.gz")
			if err := os.WriteFile(path, c.bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			err := check(path, c.recipe)
			var told *TarballError
			switch {
			case c.want == "":
				if err != nil {
					t.Fatal(err)
				}
			case !errors.As(err, &told):
				t.Fatalf("got %v, want a *TarballError with %q", err, c.want)
			case !strings.Contains(err.Error(), c.want) || told.Recipe.Product == "":
				t.Fatalf("got %q, want %q in it", err, c.want)
			}
		})
	}
}
