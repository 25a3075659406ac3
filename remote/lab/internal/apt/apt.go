// Package apt knows what the machine's own apt configuration says: which
// mirrors it fetches the distribution from, with which keys, through which
// proxy. The lab takes its mirrors from there and from nowhere else.
package apt

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Source is one entry of sources.list(5), whichever of its two formats it was
// written in.
type Source struct {
	Types      []string // "deb", "deb-src"
	URIs       []string // without a trailing slash
	Suites     []string
	Components []string
	// SignedBy is a keyring's path, a fingerprint or an armoured key block as
	// in the field of that name; empty means apt's default keyrings.
	SignedBy string
	Trusted  string // "yes", "no" or empty
}

// String is the entry in deb822 format, ending in a newline.
func (s Source) String() string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	field("Types", strings.Join(s.Types, " "))
	field("URIs", strings.Join(s.URIs, " "))
	field("Suites", strings.Join(s.Suites, " "))
	field("Components", strings.Join(s.Components, " "))
	field("Signed-By", s.SignedBy)
	field("Trusted", s.Trusted)
	return b.String()
}

// Format writes entries as one deb822 file.
func Format(sources []Source) string {
	var parts []string
	for _, s := range sources {
		parts = append(parts, s.String())
	}
	return strings.Join(parts, "\n")
}

// MachineSources reads what sources.list(5) reads below dir (/etc/apt).
func MachineSources(dir string) ([]Source, error) {
	files := []string{filepath.Join(dir, "sources.list")}
	for _, ext := range []string{"*.list", "*.sources"} {
		more, err := filepath.Glob(filepath.Join(dir, "sources.list.d", ext))
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	var all []Source
	for _, name := range files {
		data, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		parse := ParseList
		if filepath.Ext(name) == ".sources" {
			parse = ParseDeb822
		}
		sources, err := parse(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, sources...)
	}
	return all, nil
}

// ParseList reads the one-line format: "deb [option=value …] URI suite component…".
func ParseList(r io.Reader) ([]Source, error) {
	var all []Source
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		kind, rest, _ := strings.Cut(strings.ReplaceAll(text, "\t", " "), " ")
		rest = strings.TrimSpace(rest)
		var s Source
		if strings.HasPrefix(rest, "[") {
			options, after, closed := strings.Cut(rest[1:], "]")
			if !closed {
				return nil, fmt.Errorf("line %d: options without a closing bracket", n)
			}
			rest = after
			for _, option := range strings.Fields(options) {
				name, value, _ := strings.Cut(option, "=")
				switch strings.ToLower(name) {
				case "signed-by":
					s.SignedBy = value
				case "trusted":
					s.Trusted = value
				}
			}
		}
		words := strings.Fields(rest)
		if len(words) < 2 {
			return nil, fmt.Errorf("line %d: want a type, a URI and a suite", n)
		}
		s.Types = []string{kind}
		s.URIs = []string{strings.TrimRight(words[0], "/")}
		s.Suites = []string{words[1]}
		s.Components = words[2:]
		all = append(all, s)
	}
	return all, lines.Err()
}

// ParseDeb822 reads the stanza format. Stanzas with "Enabled: no" are left out.
func ParseDeb822(r io.Reader) ([]Source, error) {
	var all []Source
	fields := map[string]string{}
	var last string
	flush := func(n int) error {
		stanza := fields
		fields, last = map[string]string{}, ""
		if len(stanza) == 0 || strings.EqualFold(stanza["enabled"], "no") {
			return nil
		}
		s := Source{
			Types:      strings.Fields(stanza["types"]),
			Suites:     strings.Fields(stanza["suites"]),
			Components: strings.Fields(stanza["components"]),
			SignedBy:   stanza["signed-by"],
			Trusted:    stanza["trusted"],
		}
		for _, uri := range strings.Fields(stanza["uris"]) {
			s.URIs = append(s.URIs, strings.TrimRight(uri, "/"))
		}
		if len(s.Types) == 0 || len(s.URIs) == 0 || len(s.Suites) == 0 {
			return fmt.Errorf("stanza that ends in line %d: want Types, URIs and Suites", n)
		}
		all = append(all, s)
		return nil
	}

	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			if err := flush(n); err != nil {
				return nil, err
			}
		case line[0] == ' ' || line[0] == '\t':
			if last == "" {
				return nil, fmt.Errorf("line %d: continues no field", n)
			}
			fields[last] += "\n" + line
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				return nil, fmt.Errorf("line %d: want \"Field: value\"", n)
			}
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return all, flush(n)
}

// Distribution picks the entries that carry the release itself: binary
// packages of the suites codename, codename-updates and codename-security,
// component main only, over HTTP. isArchive says whether a URI's suite is the
// distribution's own archive, as other vendors use the same suite names.
func Distribution(sources []Source, codename string, isArchive func(uri, suite string) (bool, error)) ([]Source, error) {
	wanted := []string{codename, codename + "-updates", codename + "-security"}
	var picked []Source
	var lastErr error
	for _, s := range sources {
		if !slices.Contains(s.Types, "deb") || !slices.Contains(s.Components, "main") {
			continue
		}
		for _, uri := range s.URIs {
			if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
				continue
			}
			keep := Source{Types: []string{"deb"}, URIs: []string{uri}, Components: []string{"main"}, SignedBy: s.SignedBy, Trusted: s.Trusted}
			for _, suite := range s.Suites {
				if !slices.Contains(wanted, suite) {
					continue
				}
				ok, err := isArchive(uri, suite)
				if err != nil {
					lastErr = err
				}
				if ok {
					keep.Suites = append(keep.Suites, suite)
				}
			}
			if len(keep.Suites) > 0 {
				picked = append(picked, keep)
			}
		}
	}
	if !slices.ContainsFunc(picked, func(s Source) bool { return slices.Contains(s.Suites, codename) }) {
		if lastErr != nil {
			return nil, lastErr
		}
		return nil, fmt.Errorf("no http mirror of %s main in /etc/apt/sources.list or sources.list.d", codename)
	}
	return picked, nil
}

// Client is an HTTP client that goes the way that apt on this machine goes:
// through the proxy of its configuration, or else of the environment.
func Client(ctx context.Context) (*http.Client, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "shell",
		"HTTP", "Acquire::http::Proxy", "HTTPS", "Acquire::https::Proxy").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt-config for a proxy: %w", err)
	}
	proxies := map[string]*url.URL{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, "'")
		if value == "" || value == "DIRECT" {
			continue
		}
		proxy, err := url.Parse(value)
		if err != nil {
			return nil, fmt.Errorf("apt's proxy: %w", err)
		}
		proxies[strings.ToLower(name)] = proxy
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = func(r *http.Request) (*url.URL, error) {
		if proxy := proxies[r.URL.Scheme]; proxy != nil {
			return proxy, nil
		}
		return http.ProxyFromEnvironment(r)
	}
	return &http.Client{Transport: transport}, nil
}

// Checks is the part of the machine's configuration that says how strict apt
// is about the age of a mirror, as lines of apt.conf(5). A host that fetches
// from the same mirror has to be as lenient.
func Checks(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return "", fmt.Errorf("apt-config dump: %w", err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Acquire::Check-Valid-Until ") || strings.HasPrefix(line, "Acquire::Check-Date ") {
			b.WriteString(line)
		}
	}
	return b.String(), nil
}

// IsDebian reports whether the Release file of a suite says that it is
// Debian's own.
func IsDebian(ctx context.Context, client *http.Client) func(uri, suite string) (bool, error) {
	return func(uri, suite string) (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri+"/dists/"+suite+"/InRelease", nil)
		if err != nil {
			return false, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return false, fmt.Errorf("read the machine's mirror: %w", err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return false, fmt.Errorf("read the machine's mirror: %s: %s", req.URL, resp.Status)
		}
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			if name, value, ok := strings.Cut(lines.Text(), ":"); ok && name == "Origin" {
				return strings.TrimSpace(value) == "Debian", nil
			}
		}
		return false, lines.Err()
	}
}

// Codename is the name of the release that this machine runs ("bookworm"). It
// is an error when that isn't Debian.
func Codename() (string, error) {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("find this machine's release: %w", err)
	}
	return codename(string(data))
}

func codename(osRelease string) (string, error) {
	fields := map[string]string{}
	for line := range strings.Lines(osRelease) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	if fields["ID"] != "debian" || fields["VERSION_CODENAME"] == "" {
		return "", fmt.Errorf("this machine runs %q: Debian 12 or newer is needed", fields["PRETTY_NAME"])
	}
	return fields["VERSION_CODENAME"], nil
}
