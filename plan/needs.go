package plan

import (
	"slices"
	"strconv"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/source"
	"hapair/plan/spec"
	"hapair/templates"
)

// need is a part of the system that building or running takes, and the package
// that has it, by the host's package manager.
type need struct {
	part             facts.Part
	apt, dnf, zypper string
}

func (n need) packageFor(m facts.Manager) string {
	switch m {
	case facts.Apt:
		return n.apt
	case facts.Dnf:
		return n.dnf
	case facts.Zypper:
		return n.zypper
	}
	return ""
}

// What the pieces are called, by distribution.
var (
	needGCC     = need{facts.Tool("gcc"), "gcc", "gcc", "gcc"}
	needCXX     = need{facts.Tool("g++"), "g++", "gcc-c++", "gcc-c++"}
	needMake    = need{facts.Tool("make"), "make", "make", "make"}
	needLibc    = need{facts.Header("stdio.h"), "libc6-dev", "glibc-devel", "glibc-devel"}
	needPatch   = need{facts.Tool("patch"), "patch", "patch", "patch"}
	needTcl     = need{facts.Tool("tclsh8.6"), "tcl8.6", "/usr/bin/tclsh8.6", "tcl"} // many a Redis' tests refuse Tcl 9
	needPkgConf = need{facts.Tool("pkg-config"), "pkg-config", "pkgconf-pkg-config", "pkg-config"}
	needTar     = need{facts.Tool("tar"), "tar", "tar", "tar"}
	needGzip    = need{facts.Tool("gzip"), "gzip", "gzip", "gzip"}

	needOpenSSLHeaders = need{facts.Header("openssl/ssl.h"), "libssl-dev", "openssl-devel", "libopenssl-devel"}
	needSystemdHeaders = need{facts.Header("systemd/sd-daemon.h"), "libsystemd-dev", "systemd-devel", "systemd-devel"}
	needNetlinkHeaders = need{facts.Header("libnl3/netlink/netlink.h"), "libnl-3-dev", "libnl3-devel", "libnl3-devel"}
	needGenericHeaders = need{facts.Library("libnl-genl-3.so"), "libnl-genl-3-dev", "libnl3-devel", "libnl3-devel"}
	needPoptHeaders    = need{facts.Header("popt.h"), "libpopt-dev", "popt-devel", "popt-devel"}

	needNetlink = need{facts.Library("libnl-3.so.200"), "libnl-3-200", "libnl3", "libnl3-200"}
	needGeneric = need{facts.Library("libnl-genl-3.so.200"), "libnl-genl-3-200", "libnl3", "libnl3-200"}
	needPopt    = need{facts.Library("libpopt.so.0"), "libpopt0", "popt", "libpopt0"}

	needIP        = need{facts.Tool("ip"), "iproute2", "iproute", "iproute2"}
	needFlock     = need{facts.Tool("flock"), "util-linux", "util-linux-core", "util-linux"}
	needRsyslog   = need{facts.Tool("rsyslogd"), "rsyslog", "rsyslog", "rsyslog"}
	needLogrotate = need{facts.Tool("logrotate"), "logrotate", "logrotate", "logrotate"}
	needPing      = need{facts.Tool("ping"), "iputils-ping", "iputils", "iputils"}
	needNFT       = need{facts.Tool("nft"), "nftables", "nftables", "nftables"}
)

// poptUntil is the version from which keepalived reads its options itself.
var poptUntil = templates.Version{Major: 1, Minor: 3}

// buildNeeds is what building r takes.
func buildNeeds(r source.Recipe) []need {
	needs := []need{needTar, needGzip, needGCC, needMake, needLibc}
	if len(r.Patches) > 0 {
		needs = append(needs, needPatch)
	}
	if r.Product == productKeepalived {
		needs = append(needs, needPkgConf, needOpenSSLHeaders, needNetlinkHeaders, needGenericHeaders)
		if usesPopt(r) {
			needs = append(needs, needPoptHeaders)
		}
		return needs
	}
	if major, _, _ := strings.Cut(r.Version, "."); atLeast(major, 8) {
		needs = append(needs, needCXX)
	}
	if r.Test == string(spec.TestYes) || r.Test == string(spec.TestWarn) {
		needs = append(needs, needTcl)
	}
	if asks(r, "BUILD_TLS") {
		needs = append(needs, needOpenSSLHeaders, needPkgConf)
	}
	if asks(r, "USE_SYSTEMD") {
		needs = append(needs, needSystemdHeaders, needPkgConf)
	}
	return needs
}

// runNeeds is what running a pair takes, beside its programs.
func (w *want) runNeeds() []need {
	needs := []need{needTar, needGzip, needIP, needFlock, needRsyslog, needLogrotate, needNFT}
	if w.gateway {
		needs = append(needs, needPing)
	}
	for _, p := range w.programs() {
		if p.recipe == nil || p.product != productKeepalived {
			continue
		}
		needs = append(needs, needNetlink, needGeneric)
		if usesPopt(*p.recipe) {
			needs = append(needs, needPopt)
		}
	}
	return needs
}

// missing are the packages that a host lacks, sorted.
func missing(h *facts.Host, needs []need) []string {
	var names []string
	for _, n := range needs {
		if !h.Parts[n.part] {
			names = append(names, n.packageFor(h.Manager))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func usesPopt(r source.Recipe) bool {
	v, err := templates.ParseVersion(r.Version)
	return err == nil && v.Less(poptUntil)
}

func atLeast(number string, n int) bool {
	i, err := strconv.Atoi(number)
	return err == nil && i >= n
}

// asks reports whether a switch of Redis' Makefile is set.
func asks(r source.Recipe, name string) bool {
	return slices.ContainsFunc(r.Args, func(arg string) bool {
		key, value, _ := strings.Cut(arg, "=")
		return key == name && value != "" && value != "no"
	})
}

// packaged is what a distribution calls a program, and the units of its own
// that must not run beside the pair's.
type packaged struct {
	apt, dnf, zypper string
	units            []string
}

var distributed = map[string]packaged{
	"redis":           {"redis-server", "redis", "redis", []string{"redis-server.service", "redis.service"}},
	"valkey":          {"valkey-server", "valkey", "valkey", []string{"valkey-server.service", "valkey.service"}},
	productKeepalived: {"keepalived", "keepalived", "keepalived", []string{"keepalived.service"}},
}

// nameFor is the package's name where the spec gives none.
func (p packaged) nameFor(m facts.Manager) string {
	return need{apt: p.apt, dnf: p.dnf, zypper: p.zypper}.packageFor(m)
}

const productKeepalived = "keepalived"
