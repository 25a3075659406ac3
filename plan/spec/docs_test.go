package spec_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hapair/plan/spec"
)

// The documentation, as it lies in this repository.
const (
	root      = "../.."
	reference = root + "/docs/spec.md"
)

// pages are all documents, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(root + "/docs/*.md")
	if err != nil || len(paths) < 2 {
		t.Fatalf("docs are %v, %v", paths, err)
	}
	all := map[string]string{}
	for _, path := range append(paths, root+"/README.md") {
		all[path] = read(t, path)
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// load is spec.Load of a text. Every variable that it declares is given.
func load(t *testing.T, text string) (*spec.Spec, spec.Diagnostics) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hapair.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in := spec.Inputs{Env: map[string]string{}}
	for _, m := range regexp.MustCompile(`(?m)^variable "(\w+)"`).FindAllStringSubmatch(text, -1) {
		in.Env[spec.EnvPrefix+m[1]] = "given"
	}
	loaded, _, diags := spec.Load([]string{path}, in)
	return loaded, diags
}

// fragmentOf is a spec around blocks of a pair.
func fragmentOf(blocks string) string {
	return `variable "redis_password" {
  sensitive = true
}
pair "cache" {
  vip {
    address = "192.168.1.220"
  }
  host "a" {
    address = "192.168.1.218"
  }
  host "b" {
    address = "192.168.1.219"
  }
` + blocks + "}\n"
}

// Every spec in the documents is valid and formatted. One that is marked as a
// fragment stands in a pair, which the test puts around it.
func TestDocumentedSpecs(t *testing.T) {
	fence := regexp.MustCompile("(?ms)^```hcl( fragment)?\n(.*?)^```$")
	for path, page := range pages(t) {
		for _, m := range fence.FindAllStringSubmatch(page, -1) {
			text := m[2]
			if formatted, diags := spec.Format([]byte(text), path); diags.HasErrors() || string(formatted) != text {
				t.Errorf("%s: not formatted (%v):\n%s", path, diags.Err(), text)
			}
			if m[1] != "" {
				text = fragmentOf(text)
			}
			if _, diags := load(t, text); len(diags) > 0 {
				t.Errorf("%s: %v in:\n%s", path, diags, text)
			}
		}
	}
}

// unknown is a name that no block knows, and that resembles none.
const unknown = "qqqqqqqq"

// decoder asks the decoder what it knows, by making mistakes: its answer to an
// unknown name lists the known ones.
type decoder struct {
	t     *testing.T
	knows map[string][]string // the names in each kind of block, wherever that stands
}

func newDecoder(t *testing.T) decoder {
	d := decoder{t, map[string][]string{}}
	_, diags := load(t, unknown+" {}\n")
	for _, name := range strings.FieldsFunc(afterIn(diags, "Here stand "), func(r rune) bool { return r == ',' || r == ' ' }) {
		if name != "and" {
			d.visit(name)
		}
	}
	return d
}

// visit looks into the last of the blocks of path, unless it is an argument or
// a block without rules, such as locals.
func (d *decoder) visit(path ...string) {
	last := len(path) - 1
	_, diags := load(d.t, strings.Join(path, " {\n")+" {\n"+unknown+" = 1\n"+strings.Repeat("}\n", len(path)))
	if afterIn(diags, "Write "+path[last]+" ") != "" { // it wants a label
		path[last] += ` "x"`
		d.visit(path...)
		return
	}
	kind, _, _ := strings.Cut(path[last], " ")
	names := afterIn(diags, "A "+kind+" block takes ")
	if names == "" {
		return
	}
	for _, name := range strings.Split(names, ", ") {
		if !slices.Contains(d.knows[kind], name) {
			d.knows[kind] = append(d.knows[kind], name)
		}
		d.visit(append(slices.Clone(path), name)...)
	}
}

// afterIn is what follows start, to the end of the sentence, in the first of
// the diagnostics that says it.
func afterIn(diags spec.Diagnostics, start string) string {
	for _, d := range diags {
		if _, rest, ok := strings.Cut(d.Detail, start); ok {
			sentence, _, _ := strings.Cut(rest, ".")
			return sentence
		}
	}
	return ""
}

// argument is a row of the reference: an argument, or a block in a block.
type argument struct {
	block, name string
	def         string // what stands in the column of that name
}

// documented are the rows of all tables of arguments and blocks, which stand
// below a heading with the block's name.
func documented(t *testing.T) (rows []argument) {
	t.Helper()
	heading := regexp.MustCompile("^#+ (?:`([a-z]+))?")
	names := regexp.MustCompile("`([a-z_0-9]+)`")
	block, column := "", 0 // the column of defaults; 0 outside of a table
	for line := range strings.Lines(read(t, reference)) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, ""), "|")
		if m := heading.FindStringSubmatch(line); m != nil {
			block = m[1]
		}
		switch {
		case len(cells) < 4:
			column = 0
		case strings.TrimSpace(cells[1]) == "argument" || strings.TrimSpace(cells[1]) == "block":
			column = 3
		case column > 0:
			for _, m := range names.FindAllStringSubmatch(cells[1], -1) {
				rows = append(rows, argument{block, m[1], strings.TrimSpace(cells[column])})
			}
		}
	}
	return rows
}

// The reference has every argument of every block, and no other.
func TestReferenceIsComplete(t *testing.T) {
	known := newDecoder(t).knows
	if len(known) < 10 || !slices.Contains(known["redis"], "config") {
		t.Fatalf("the decoder was not understood: %v", known)
	}
	written := map[string][]string{}
	for _, row := range documented(t) {
		written[row.block] = append(written[row.block], row.name)
		if !slices.Contains(known[row.block], row.name) {
			t.Errorf("a %s block takes no %s", row.block, row.name)
		}
	}
	for block, names := range known {
		for _, name := range names {
			if !slices.Contains(written[block], name) {
				t.Errorf("%s has no %s in %s", reference, name, block)
			}
		}
	}
}

// The reference names every function.
func TestReferenceHasFunctions(t *testing.T) {
	_, diags := load(t, "locals {\n  x = "+unknown+"()\n}\n")
	list := strings.ReplaceAll(afterIn(diags, "The functions are "), " and ", ", ")
	page := read(t, reference)
	for _, name := range strings.Split(list, ", ") {
		if name == "" || !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s has no function %q", reference, name)
		}
	}
}

// skeleton has every block but package, with a place for an argument in each.
const skeleton = `
variable "redis_password" {
  #variable#
}
pair "cache" {
  vip {
    address = "192.168.1.220"
  }
  ssh {
    #ssh#
  }
  host "a" {
    address = "192.168.1.218"
    #host#
  }
  host "b" {
    address = "192.168.1.219"
  }
  account {
    #account#
  }
  redis {
    #redis#
    source {
      version = "7.2.5"
      urls    = ["/x.tar.gz"]
      sha256  = "0000000000000000000000000000000000000000000000000000000000000000"
      #redis source#
    }
  }
  keepalived {
    #keepalived#
    source {
      version = "2.2.7"
      urls    = ["/x.tar.gz"]
      sha256  = "0000000000000000000000000000000000000000000000000000000000000000"
      #keepalived source#
    }
  }
  check {
    #check#
  }
  failover {
    #failover#
  }
  drill "kill-both" {
    #drill#
  }
  drill "monday-morning" {
    step {
      fault = "kill-redis"
    }
    step {
      expect = "holds"
      #step#
    }
  }
}
`

// To write a documented default changes nothing. A default that is no literal
// is not looked at.
func TestDocumentedDefaults(t *testing.T) {
	want, diags := load(t, skeleton)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	literal := regexp.MustCompile("^`([^`]+)`")
	tested := 0
	for _, row := range documented(t) {
		m := literal.FindStringSubmatch(row.def)
		if m == nil || strings.HasSuffix(m[1], "{}") || row.block == "pair" {
			continue
		}
		place := "#" + row.block + "#"
		if row.block == "source" {
			place = "#redis source#"
			if row.name == "configure" {
				place = "#keepalived source#"
			}
		}
		got, diags := load(t, strings.Replace(skeleton, place, row.name+" = "+m[1], 1))
		if len(diags) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s of %s is not %s by default: %v", row.name, row.block, m[1], diags)
		}
		tested++
	}
	if tested < 20 {
		t.Errorf("only %d defaults found", tested)
	}
}

// Links from one document to another file, or to a heading, lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for path, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, anchored := strings.Cut(m[1], "#")
			target := path
			if name != "" {
				target = filepath.Join(filepath.Dir(path), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s: %v", path, m[1], err)
			} else if anchored && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s: there is no such heading", path, m[1])
			}
		}
	}
}

// anchors are what GitHub makes of the headings of a page.
func anchors(page string) (all []string) {
	dropped := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}
