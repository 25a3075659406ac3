package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
)

// side is one host of a pair: what it should be like, what it is like, and,
// once compared, what differs.
type side struct {
	*want
	index  int
	seen   *facts.Host
	old    *Manifest   // what hapair put there; nil: nothing
	others []*Manifest // of other pairs on the same host

	build []*program // what is to be built here, for either host
	stops string     // why both hosts stop and start for it; empty: they do not

	changes []Change

	// What Apply has to do about it.
	makeAccount bool
	packages    []string
	mask        []string
	install     []*program
	uninstall   []string // records
	place       Place
	units       Units
	affects     pair.Change // what of the pair has to restart for it
	next        *Manifest
}

// newSide reads the manifests that were seen.
func newSide(i int, w *want, seen *facts.Host) (*side, error) {
	s := &side{want: w, index: i, seen: seen}
	own := w.layout.Manifest()
	for name, file := range seen.Paths {
		if path.Base(name) != path.Base(own) || path.Dir(path.Dir(name)) != path.Dir(path.Dir(own)) {
			continue
		}
		m, err := readManifest(file.Content)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", w.ref, name, err)
		}
		if name == own {
			s.old = m
		} else {
			s.others = append(s.others, m)
		}
	}
	slices.SortFunc(s.others, func(a, b *Manifest) int { return strings.Compare(a.Pair, b.Pair) })
	return s, nil
}

// compare finds everything that differs, in the order in which people read it.
func (s *side) compare(c *Conflicts) {
	s.next = &Manifest{Format: manifestFormat, Pair: s.ref.Pair, Host: s.ref.Host, Units: union(s.want.units(), nil)}
	s.takeUp()
	s.compareAccount()
	s.comparePackaged()
	s.comparePackages(c)
	s.comparePrograms()
	s.compareDirs(c)
	s.compareFiles(c)
	s.compareUnits()
	if len(s.changes) == 0 && !s.manifestIs(s.next) {
		s.change(Change{
			Addr: s.addr(KindFile, s.layout.Manifest()), Action: s.updateOr(s.layout.Manifest()),
			Reason: "the list of what hapair put on this host",
		})
	}
}

// takeUp takes over what an interrupted apply left to do. What does not run
// anyway has no need of it.
func (s *side) takeUp() {
	if s.old == nil {
		return
	}
	for _, todo := range s.old.Pending {
		unit := ""
		switch todo {
		case restartRedis:
			unit = s.layout.RedisUnit()
			s.affects.Redis = true
		case reloadKeepalived, restartKeepalived:
			unit = s.layout.KeepalivedUnit()
			s.affects.Keepalived = pair.Reload
			if todo == restartKeepalived {
				s.affects.Keepalived = pair.Restart
			}
		case restartSyslog:
			unit = rsyslogUnit
			s.units.Restart = []string{unit}
		case renewGuard:
			unit = s.layout.GuardUnit()
			s.units.Renew = []string{unit}
		}
		if s.runs(unit) {
			s.change(Change{Addr: s.addr(KindService, unit), Action: Update, Reason: string(todo) + ": an interrupted apply left it to do"})
		}
	}
}

// todo is what has to happen for the changes to count; of it, later is what
// only both hosts together can do.
func (s *side) todo() (now, later []pending) {
	if slices.Contains(s.units.Restart, rsyslogUnit) {
		now = append(now, restartSyslog)
	}
	if len(s.units.Renew) > 0 {
		now = append(now, renewGuard)
	}
	if s.stops != "" {
		return now, nil
	}
	if s.affects.Redis && s.runs(s.layout.RedisUnit()) {
		later = append(later, restartRedis)
	}
	if s.runs(s.layout.KeepalivedUnit()) {
		switch s.affects.Keepalived {
		case pair.Reload:
			later = append(later, reloadKeepalived)
		case pair.Restart:
			later = append(later, restartKeepalived)
		}
	}
	return now, later
}

func (s *side) addr(kind Kind, name string) Addr {
	return Addr{Pair: s.ref.Pair, Host: s.ref.Host, Kind: kind, Name: name}
}

func (s *side) change(c Change) { s.changes = append(s.changes, c) }

// updateOr is Create for a path that is not there.
func (s *side) updateOr(path string) Action {
	if _, there := s.seen.Paths[path]; there {
		return Update
	}
	return Create
}

func (s *side) manifestIs(m *Manifest) bool {
	return string(s.seen.Paths[s.layout.Manifest()].Content) == string(m.bytes())
}

// short is as much of a sum as tells two apart for people.
func short(sum string) string { return sum[:min(12, len(sum))] }

func joinReasons(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func (s *side) runs(unit string) bool { return s.seen.Units[unit].Active == "active" }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
