package spec

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// version is an upstream version, such as 7.0.15; what is missing is 0.
type version [3]int

// parseVersion reads an upstream version, or a distribution's with its epoch
// and revision (5:7.0.15-1~deb12u7). It is false when there is none to read.
func parseVersion(text string) (version, bool) {
	if _, rest, ok := strings.Cut(text, ":"); ok {
		text = rest
	}
	if i := strings.IndexAny(text, "-+~ "); i >= 0 {
		text = text[:i]
	}
	var v version
	for i, part := range strings.SplitN(text, ".", 4) {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return version{}, false
		}
		if i < len(v) {
			v[i] = n
		}
	}
	return v, true
}

func (v version) before(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Need is something in a spec that a program knows only from some version on.
// The spec checks it where it names the version; of a distribution's package
// the version is known once the hosts were observed.
type Need struct {
	Feature string // as a sentence has it: "an advert interval below a second"
	Since   string // the first version that has it
	Instead string // what to write for an older one; empty when there is nothing

	block, attr string // where it was asked for
}

// Met reports whether this version of the program has it. A version that
// cannot be read is taken to have it.
func (n Need) Met(programVersion string) bool {
	v, ok := parseVersion(programVersion)
	since, _ := parseVersion(n.Since)
	return !ok || !v.before(since)
}

// The oldest versions that hapair drives.
const (
	oldestRedis      = "2.8.0"
	oldestValkey     = "7.2.4"
	oldestKeepalived = "1.2.10"
)

// KeepalivedNeeds is what this pair asks of keepalived beyond the oldest
// version. The versions are from keepalived's ChangeLog and release notes.
func (p *Pair) KeepalivedNeeds() []Need {
	needs := []Need{{Feature: "what hapair's configuration uses", Since: oldestKeepalived, block: "keepalived"}}
	if p.Keepalived.AdvertInterval < time.Second {
		needs = append(needs, Need{
			Feature: "an advert interval below a second (VRRP version 3)", Since: "1.2.20", Instead: `advert_interval = "1s"`,
			block: "keepalived", attr: "advert_interval",
		})
	}
	fraction := func(attr string, d time.Duration) {
		if d%time.Second != 0 {
			needs = append(needs, Need{
				Feature: "a check " + attr + " in fractions of a second", Since: "2.3.2",
				Instead: fmt.Sprintf("%s = %q", attr, durationText(d.Truncate(time.Second)+time.Second)),
				block:   "check", attr: attr,
			})
		}
	}
	fraction("interval", p.Check.Interval)
	fraction("timeout", p.Check.Timeout)
	return needs
}

// RedisNeeds is what this pair asks of Redis beyond the oldest version: its
// directives. Of Valkey it asks nothing more, as it began at 7.2.
func (p *Pair) RedisNeeds() []Need {
	if p.product() == "valkey" {
		return []Need{{Feature: "what hapair's configuration uses", Since: oldestValkey, block: "redis"}}
	}
	needs := []Need{{Feature: "what hapair's configuration uses", Since: oldestRedis, block: "redis"}}
	asked, known := parseVersion(p.Redis.Install.Version())
	for _, d := range p.Redis.Config {
		need := Need{Feature: "the directive " + d.Name, block: "redis", attr: d.Name}
		older := olderDirective(d.Name)
		switch {
		case d.Name == "client-output-buffer-limit" && strings.HasPrefix(d.Value, "replica"):
			need.Feature, need.Since, need.Instead = "the client class replica", replicaNames, "slave, its older name"
		case older != "":
			need.Since = replicaNames
			if !known || !asked.before(version{4}) { // before, most did not exist
				need.Instead = older + ", its older name"
			}
		case since[d.Name] != "":
			need.Since = since[d.Name]
		default:
			continue
		}
		needs = append(needs, need)
	}
	return needs
}

func (p *Pair) product() string {
	if src := p.Redis.Install.Source; src != nil {
		return src.Product
	}
	if pkg := p.Redis.Install.Package; pkg != nil && strings.Contains(pkg.Name, "valkey") {
		return "valkey"
	}
	return "redis"
}

// Version is the version that is asked for; empty when it is whatever the
// distribution has.
func (i Install) Version() string {
	switch {
	case i.Source != nil:
		return i.Source.Version
	case i.Package != nil:
		return i.Package.Version
	}
	return ""
}
