package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/templates"
)

func (s *side) compareDirs(c *Conflicts) {
	for _, d := range s.want.dirs {
		there, ok := s.seen.Paths[d.Path]
		owner := d.Owner + ":" + d.Group
		known, _ := s.old.dir(d.Path)
		s.next.Dirs = append(s.next.Dirs, ManifestDir{Dir: d.Path, Made: known.Made || !ok})
		if ok && there.Kind != facts.Dir {
			c.add(s.ref, d.Path+" is in the way", fmt.Sprintf("it is a %s; a folder is to be there", there.Kind), "Move it away.")
			continue
		}
		before, after := attrs(there, ok), Content{Attrs: []Attr{{"mode", Mode(d.Mode).String()}, {"owner", owner}}}
		if ok && slices.Equal(before.Attrs, after.Attrs) {
			continue
		}
		change := Change{Addr: s.addr(KindDir, d.Path), Action: Create, Before: before, After: after}
		if ok {
			change.Action, change.Drift = Update, known.Dir != ""
		}
		s.change(change)
		s.place.Dirs = append(s.place.Dirs, Dir{Path: d.Path, Mode: Mode(d.Mode), Owner: owner})
	}
	if s.old == nil {
		return
	}
	for _, d := range slices.Backward(s.old.Dirs) {
		if _, wanted := s.next.dir(d.Dir); wanted || !d.Made {
			continue
		}
		s.place.RemoveDirs = append(s.place.RemoveDirs, d.Dir)
		s.change(Change{Addr: s.addr(KindDir, d.Dir), Action: Delete, Reason: "if it is empty"})
	}
}

// attrs are the mode and owner of what is there.
func attrs(p facts.Path, ok bool) Content {
	if !ok {
		return Content{}
	}
	return Content{Attrs: []Attr{{"mode", Mode(p.Mode).String()}, {"owner", p.Owner + ":" + p.Group}}}
}

func (s *side) compareFiles(c *Conflicts) {
	var enters []Change
	for _, f := range s.want.files {
		there, ok := s.seen.Paths[f.Path]
		if ok && there.Kind == facts.Dir {
			c.add(s.ref, f.Path+" is in the way", "it is a directory; a file is to be there", "Move it away.")
			continue
		}
		known, ours := s.old.file(f.Path)
		file := File{Path: f.Path, Mode: Mode(f.Mode), Owner: f.Owner + ":" + f.Group, SHA256: sum(f.Content)}
		if f.Sensitive || f.Program {
			file.bytes = f.Content
		} else {
			file.Text = string(f.Content)
		}
		record := ManifestFile{Path: f.Path, SHA256: file.SHA256, Backup: known.Backup}
		if ok && !ours && f.Backup != "" {
			if _, kept := s.seen.Paths[f.Path+f.Backup]; !kept {
				file.Backup = f.Path + f.Backup
				record.Backup = file.Backup
			}
		}
		s.next.Files = append(s.next.Files, record)

		thereSum := there.SHA256
		if there.Content != nil {
			thereSum = sum(there.Content)
		}
		same := ok && there.Kind == facts.File && thereSum == file.SHA256
		change := Change{Addr: s.addr(KindFile, f.Path), Action: Create, Before: attrs(there, ok), After: Content{
			Attrs: []Attr{{"mode", file.Mode.String()}, {"owner", file.Owner}},
		}}
		if same && slices.Equal(change.Before.Attrs, change.After.Attrs) {
			continue
		}
		if !same {
			s.contents(&change, f, there)
			if ok {
				s.affect(f)
				change.Reason = s.fileReason(f)
			} else {
				s.affectNew(f)
			}
		}
		if ok {
			change.Action = Update
			// The host moved away from what was put there.
			change.Drift = ours && (same || thereSum != known.SHA256)
		}
		if file.Backup != "" {
			change.Reason = joinReasons("what is there is kept as "+path.Base(file.Backup), change.Reason)
		}
		enters = append(enters, change)
		s.place.Files = append(s.place.Files, file)
	}
	if s.old != nil {
		for _, f := range s.old.Files {
			if _, wanted := s.next.file(f.Path); wanted {
				continue
			}
			s.place.Remove = append(s.place.Remove, f.Path)
			there, ok := s.seen.Paths[f.Path]
			if !ok {
				continue // it is gone already
			}
			if path.Dir(f.Path) == unitDir {
				s.units.Disable = append(s.units.Disable, path.Base(f.Path))
			}
			enters = append(enters, Change{Addr: s.addr(KindFile, f.Path), Action: Delete, Before: attrs(there, ok), Reason: "it left the spec"})
		}
	}
	slices.SortStableFunc(enters, func(a, b Change) int { return strings.Compare(a.Addr.Name, b.Addr.Name) })
	s.changes = append(s.changes, enters...)
}

// contents shows both texts of a file, or that they are not to be shown.
func (s *side) contents(change *Change, f templates.File, there facts.Path) {
	if f.Sensitive {
		change.Before.Sensitive, change.After.Sensitive = there.Kind != "", true
		return
	}
	if f.Program {
		if there.SHA256 != "" {
			change.Before.Attrs = append(change.Before.Attrs, Attr{"sha256", short(there.SHA256)})
		}
		change.After.Attrs = append(change.After.Attrs, Attr{"sha256", short(sum(f.Content))})
		return
	}
	change.Before.Text, change.After.Text = string(there.Content), string(f.Content)
}

const unitDir = "/etc/systemd/system"

// affect notes what has to happen for a changed file to count.
func (s *side) affect(f templates.File) {
	s.affectNew(f)
	renew := func(r pair.Renewal) { s.affects.Keepalived = max(s.affects.Keepalived, r) }
	switch f.Affects {
	case templates.AffectsRedis:
		s.affects.Redis = true
	case templates.AffectsKeepalived:
		renew(pair.Reload)
	case templates.AffectsUnits:
		switch path.Base(f.Path) {
		case s.layout.RedisUnit():
			s.affects.Redis = true
		case s.layout.KeepalivedUnit():
			renew(pair.Restart)
		}
	}
}

// affectNew notes what even a file that was not there before takes.
func (s *side) affectNew(f templates.File) {
	if strings.HasPrefix(f.Path, unitDir+"/") {
		s.units.Reload = true
	}
	switch {
	case f.Affects == templates.AffectsSyslog:
		s.units.Restart = union(s.units.Restart, []string{rsyslogUnit})
	case f.Affects == templates.AffectsGuard, path.Base(f.Path) == s.layout.GuardUnit():
		if s.canGuard() {
			s.units.Renew = union(s.units.Renew, []string{s.layout.GuardUnit()})
		}
	}
}

func (s *side) fileReason(f templates.File) string {
	switch f.Affects {
	case templates.AffectsRedis:
		return s.restartReason(s.redis.product)
	case templates.AffectsKeepalived:
		if s.stops != "" || s.affects.Keepalived == pair.Restart {
			return s.restartReason(productKeepalived)
		}
		if s.runs(s.layout.KeepalivedUnit()) {
			return "reload: the replica's keepalived waits meanwhile"
		}
	case templates.AffectsUnits:
		switch path.Base(f.Path) {
		case s.layout.RedisUnit():
			return s.restartReason(s.redis.product)
		case s.layout.KeepalivedUnit():
			return s.restartReason(productKeepalived)
		}
	case templates.AffectsSyslog:
		return "rsyslog restarts"
	case templates.AffectsGuard:
		return "the rules are loaded anew"
	}
	return ""
}

// restartReason is empty for what does not run: it is just started later.
func (s *side) restartReason(product string) string {
	unit := s.layout.RedisUnit()
	if product == productKeepalived {
		unit = s.layout.KeepalivedUnit()
	}
	switch {
	case !s.runs(unit):
		return ""
	case s.stops != "":
		return "both hosts stop and start"
	}
	return "restart: rolling, replica first"
}
