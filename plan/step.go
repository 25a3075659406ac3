package plan

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/source"
	"hapair/remote"
)

// Step is one thing that Apply does. Steps are data: nothing but what they
// hold, and what the host answers, decides what happens. Exactly one of the
// fields that say what to do is set.
type Step struct {
	ID string `json:"id"` // unique in its plan, stable: "cache/a/files"
	// At is where it happens. Host is empty when the step concerns both hosts,
	// as starting the pair does; Host and Pair are empty on the controller.
	At    facts.Ref `json:"at"`
	Title string    `json:"title"` // for people, in the imperative: "write 14 files"
	// After are the IDs of the steps that have to be done before. Steps that do
	// not depend on each other run at the same time.
	After []string `json:"after,omitempty"`

	// Within is the ID of the step that this one is a part of. Only steps that
	// Hooks hears of have it, never those of a plan.
	Within string `json:"within,omitempty"`

	Account   *Account       `json:"account,omitempty"`
	Packages  *Packages      `json:"packages,omitempty"`
	Fetch     *source.Recipe `json:"fetch,omitempty"`
	Build     *Program       `json:"build,omitempty"`
	Install   *Program       `json:"install,omitempty"`
	Uninstall *Uninstall     `json:"uninstall,omitempty"`
	Place     *Place         `json:"place,omitempty"`
	Units     *Units         `json:"units,omitempty"`
	Pair      *Running       `json:"pair,omitempty"`
}

// pair is the name of the pair whose step it is, wherever it happens.
func (s Step) pair() string {
	name, _, _ := strings.Cut(s.ID, "/")
	return name
}

// Account makes the group and the user that own Redis' files, as far as they
// are not there: system accounts without a password.
type Account struct {
	User  string `json:"user"`
	Group string `json:"group"`
	Home  string `json:"home"` // not made
}

// Packages installs packages of the distribution. The units of theirs in Mask
// are masked first, so that nothing starts by itself.
type Packages struct {
	Manager facts.Manager `json:"manager"`
	Names   []string      `json:"names"`
	Mask    []string      `json:"mask,omitempty"`
}

// Program builds a program on a host, or installs it there from the cache.
type Program struct {
	Recipe   source.Recipe   `json:"recipe"`
	Platform source.Platform `json:"platform"`
	Target   source.Target   `json:"target,omitzero"` // of Install
}

// Uninstall removes the files of a program that was built and installed.
type Uninstall struct {
	Record string `json:"record"`
}

// Place makes folders, puts files and removes others, in this order. All files
// go in one stream, and each is replaced whole or not at all.
type Place struct {
	Dirs       []Dir    `json:"dirs,omitempty"`
	Files      []File   `json:"files,omitempty"`
	Remove     []string `json:"remove,omitempty"`
	RemoveDirs []string `json:"remove_dirs,omitempty"` // those that are empty then
}

// Dir is a folder to make, or to give its mode and owner.
type Dir struct {
	Path  string `json:"path"`
	Mode  Mode   `json:"mode"`
	Owner string `json:"owner"` // "user:group"
}

// File is a file to put in place.
type File struct {
	Path   string `json:"path"`
	Mode   Mode   `json:"mode"`
	Owner  string `json:"owner"` // "user:group"
	SHA256 string `json:"sha256"`
	// Text is the content; empty for a program, and for one with secrets, which
	// never leaves the memory of the run that made the plan.
	Text string `json:"text,omitempty"`
	// Backup is where what is there now is kept. Empty: nowhere.
	Backup string `json:"backup,omitempty"`

	bytes []byte // what is not in Text
}

// Units changes what systemd does, in this order.
type Units struct {
	Disable []string `json:"disable,omitempty"` // and stop
	Stop    []string `json:"stop,omitempty"`
	Reload  bool     `json:"reload,omitempty"` // read the unit files anew
	Enable  []string `json:"enable,omitempty"`
	Restart []string `json:"restart,omitempty"` // or start
	Renew   []string `json:"renew,omitempty"`   // reload if it runs, else start
}

// Running brings the pair's services to where they should be.
type Running struct {
	Do Task `json:"do"`
	// Changes are what TaskRoll carries out, by host in the spec's order.
	Changes [2]pair.Change `json:"changes,omitzero"`
}

// Task is one of plan/pair's.
type Task string

const (
	TaskStart   Task = "start"   // in the documented order
	TaskRecover Task = "recover" // what does not run joins what does
	TaskRoll    Task = "roll"    // restart or reload what changed, replica first
)

// Mode is a file mode as people write it: "0640".
type Mode fs.FileMode

func (m Mode) String() string { return fmt.Sprintf("%04o", remote.UnixMode(fs.FileMode(m))) }

// MarshalText writes the mode as String does.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (m *Mode) UnmarshalText(text []byte) error {
	bits, err := strconv.ParseUint(string(text), 8, 12)
	if err != nil {
		return fmt.Errorf("parse mode: %w", err)
	}
	*m = Mode(remote.FileMode(uint32(bits)))
	return nil
}
