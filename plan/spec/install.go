package spec

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// reserved are folders that the system owns: hapair gives a prefix an owner
// and a mode, and removes it in the end.
var reserved = []string{
	"/", "/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/opt", "/root", "/sbin", "/srv",
	"/usr", "/usr/bin", "/usr/include", "/usr/lib", "/usr/libexec", "/usr/local", "/usr/local/bin", "/usr/local/etc",
	"/usr/local/lib", "/usr/local/sbin", "/usr/local/share", "/usr/sbin", "/usr/share", "/usr/src",
	"/var", "/var/cache", "/var/lib", "/var/lib/hapair", "/var/log", "/var/opt", "/var/spool",
}

// volatile are folders that do not outlive a boot.
var volatile = []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/run", "/var/tmp"}

var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/-]*$`)

// folder is the absolute path of a folder on a host that is hapair's own.
func (s *section) folder(name string) (string, bool) {
	text, ok := s.text(name)
	if !ok {
		return "", false
	}
	clean := path.Clean(text)
	own := fmt.Sprintf("/usr/local/%s", s.kind)
	inside := func(parent string) bool { return nested(parent, clean) }
	switch {
	case !plainPath.MatchString(text):
		s.d.errorAt(s.at(name), "Not an absolute path", "%s is an absolute path of letters, digits and . _ -: %q.", name, own)
	case slices.Contains(reserved, clean):
		s.d.errorAt(s.at(name), "Folder of the system", "%s belongs to the system, and hapair gives its prefix an owner and a mode of its own. Take a folder below: %q.", clean, path.Join(clean, s.kind))
	case slices.ContainsFunc(volatile, inside):
		s.d.errorAt(s.at(name), "Folder that does not last", "%s is emptied at boot or is no real folder. Take %q.", clean, own)
	default:
		return clean, true
	}
	return "", false
}

// nested reports whether the folder is the parent or lies in it.
func nested(parent, folder string) bool {
	return folder == parent || strings.HasPrefix(folder, strings.TrimSuffix(parent, "/")+"/")
}

// install is a source or package block; without either, the distribution's
// package. The section is the source's.
func (s *section) install(sourceSchema schema, product string) (Install, *section) {
	source, pkg := s.child("source", sourceSchema), s.child("package", packageSchema)
	if source.present() && pkg.present() {
		s.d.errorAt(pkg.header, "Source and package", "%s comes either from a source or from a package. Remove one of the two blocks.", s.kind)
		return Install{}, source
	}
	if source.present() {
		return Install{Source: source.source(product)}, source
	}
	var p Package
	p.Name, _ = pkg.word("name", packageName.MatchString, "Not a package", "A package's name is made of lower-case letters, digits and + - . : \"redis-server\". Leave it out for the distribution's usual one.")
	p.Version, _ = pkg.word("version", packageVersion.MatchString, "Not a version", "A package's version is written as the distribution does: \"5:7.0.15-1~deb12u7\". Leave it out for whatever the distribution has.")
	return Install{Package: &p}, source
}

var (
	packageName    = regexp.MustCompile(`^[a-z0-9][a-z0-9+.:-]*$`)
	packageVersion = regexp.MustCompile(`^[0-9][A-Za-z0-9.+:~-]*$`)
	sourceVersion  = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?(-[a-z0-9.]+)?$`)
	hexText        = regexp.MustCompile(`^[0-9A-Fa-f]*$`)
)

func (s *section) source(product string) *Source {
	src := &Source{Product: product, Test: TestNo}
	if v, ok := s.oneOf("product", "redis", "valkey"); ok {
		src.Product = v
	}
	s.require("version", `"`+map[string]string{"redis": "7.2.5", "keepalived": "2.3.3"}[product]+`"`)
	src.Version, _ = s.word("version", sourceVersion.MatchString, "Not a version", "The version is the tarball's, in quotes: \"7.2.5\".")
	s.require("urls", `["https://…"], or the path of a tarball on this machine`)
	for i, text := range s.texts("urls") {
		if location, ok := s.location(text, s.elementAt("urls", i)); ok {
			src.URLs = append(src.URLs, location)
		}
	}
	if v, ok := s.get("urls"); ok && len(src.URLs) == 0 && (v.Type().IsTupleType() || v.Type().IsListType()) && v.LengthInt() == 0 {
		s.d.errorAt(s.at("urls"), "Nowhere to get it", "urls holds at least one place: [\"https://…\"], or the path of a tarball on this machine.")
	}
	s.require("sha256", `"…": nothing unverified is built`)
	if text, ok := s.text("sha256"); ok {
		src.SHA256 = strings.ToLower(strings.TrimSpace(text))
		s.checkSum(src.SHA256)
	}
	for i, text := range s.texts("patches") {
		file := s.beside(text)
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			s.d.errorAt(s.elementAt("patches", i), "No such patch", "There is no file %s. A relative path means the folder of this spec file.", file)
			continue
		}
		src.Patches = append(src.Patches, file)
	}
	src.Make, src.Configure = s.words("make"), s.words("configure")
	src.Test = s.testMode()
	return src
}

// checkSum says what is wrong with a sha256.
func (s *section) checkSum(sum string) {
	const want = "A SHA-256 is 64 hexadecimal digits, as sha256sum prints it"
	known := map[int]string{32: "an MD5", 40: "a SHA-1", 128: "a SHA-512"}
	switch {
	case !hexText.MatchString(sum):
		s.d.errorAt(s.at("sha256"), "Not a SHA-256", "%s; this has other characters.", want)
	case known[len(sum)] != "":
		s.d.errorAt(s.at("sha256"), "Not a SHA-256", "%s; this has the length of %s.", want, known[len(sum)])
	case len(sum) != 64:
		s.d.errorAt(s.at("sha256"), "Not a SHA-256", "%s; this has %d.", want, len(sum))
	}
}

// words is a list of arguments for a command on the build host.
func (s *section) words(name string) []string {
	all := s.texts(name)
	for i, word := range all {
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			s.d.errorAt(s.elementAt(name, i), "Not an argument", "Each element of %s is one argument, such as \"BUILD_TLS=yes\": not empty, and without line breaks.", name)
		}
	}
	return all
}

// testMode reads test = true, false or "warn".
func (s *section) testMode() TestMode {
	v, ok := s.get("test")
	if !ok {
		return TestNo
	}
	switch v.String() {
	case "true":
		return TestYes
	case "false":
		return TestNo
	case `"warn"`:
		return TestWarn
	}
	s.d.errorAt(s.at("test"), "Unknown test mode", "test is true, false, or \"warn\", which runs the tests and tolerates a failure.")
	return TestNo
}

// location is where a tarball comes from: a URL, or a path made absolute.
func (s *section) location(text string, at hcl.Range) (string, bool) {
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		switch {
		case strings.TrimSpace(text) == "":
			s.d.errorAt(at, "Not a place", "A place is an https, http or file URL, or a path.")
			return "", false
		case strings.HasPrefix(text, "~"):
			s.d.errorAt(at, "Tilde in a path", "~ depends on who runs hapair, so it is not expanded here. Write the path, or a variable for it.")
			return "", false
		}
		return s.beside(text), true
	}
	u, err := url.Parse(text)
	schemes := []string{"https", "http", "file"}
	switch {
	case !slices.Contains(schemes, scheme):
		s.d.errorAt(at, "Unknown URL scheme", "A tarball is fetched by https, http or file, or is a path.%s", didYouMean(scheme, schemes, ""))
	case err != nil || scheme != "file" && u.Host == "":
		s.d.errorAt(at, "Not a URL", "A URL has a host and a path: \"https://download.example/redis-7.2.5.tar.gz\".")
	case u.User != nil:
		s.d.errorAt(at, "Login in a URL", "Plans show URLs, so none may hold a user or a password. Fetch the tarball beforehand and name its path.")
	case scheme == "file" && (u.Host != "" && u.Host != "localhost" || !path.IsAbs(u.Path)):
		s.d.errorAt(at, "Not a file URL", "A file URL holds an absolute path, after three slashes: \"file:///srv/redis-7.2.5.tar.gz\". For a relative one write just the path.")
	default:
		return text, true
	}
	return "", false
}

// beside is a path on this machine; a relative one means the folder of the
// spec file.
func (s *section) beside(file string) string {
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(s.header.Filename), file)
	}
	if abs, err := filepath.Abs(file); err == nil {
		return abs
	}
	return file
}
