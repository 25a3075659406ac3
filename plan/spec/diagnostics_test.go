package spec

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the diagnostics say now into testdata/diagnostics")

// TestDiagnostics loads the files of each archive in testdata/diagnostics and
// compares what people would read with the archive's "want". The archive's
// comment gives the inputs, one a line: var NAME=VALUE, env NAME=VALUE,
// varfile NAME, paths NAME….
func TestDiagnostics(t *testing.T) {
	archives, err := filepath.Glob("testdata/diagnostics/*.txtar")
	if err != nil || len(archives) < 45 {
		t.Fatalf("%d archives in testdata/diagnostics, %v", len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			absolute, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			work := t.TempDir()
			t.Chdir(work)
			var want *txtar.File
			for i, file := range archive.Files {
				if file.Name == "want" {
					want = &archive.Files[i]
					continue
				}
				if err := os.MkdirAll(filepath.Dir(file.Name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file.Name, file.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want == nil {
				archive.Files = append(archive.Files, txtar.File{Name: "want"})
				want = &archive.Files[len(archive.Files)-1]
			}

			paths, in := inputs(t, string(archive.Comment))
			spec, _, diags := Load(paths, in)
			if (spec == nil) != diags.HasErrors() {
				t.Errorf("spec %v with HasErrors %v", spec, diags.HasErrors())
			}
			for _, d := range diags {
				if d.Summary == "" || d.Detail == "" {
					t.Errorf("nothing said, or not what to do: %+v", d)
				}
			}
			var out bytes.Buffer
			if err := diags.Write(&out, 78, false); err != nil {
				t.Fatal(err)
			}
			got := bytes.ReplaceAll(out.Bytes(), []byte(work), []byte("$WORK"))
			if secret := "hunter2"; bytes.Contains(got, []byte(secret)) {
				t.Errorf("the secret is shown:\n%s", got)
			}
			asJSON, err := json.Marshal(diags)
			if err != nil || bytes.Contains(asJSON, []byte("hunter2")) {
				t.Errorf("JSON: %v\n%s", err, asJSON)
			}
			if *update {
				want.Data = got
				if err := os.WriteFile(absolute, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want.Data), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func inputs(t *testing.T, comment string) ([]string, Inputs) {
	paths := []string{"spec.hcl"}
	in := Inputs{Vars: map[string]string{}, Env: map[string]string{}}
	for line := range strings.Lines(comment) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, value, _ := strings.Cut(rest, "=")
		switch verb {
		case "var":
			in.Vars[name] = value
		case "env":
			in.Env[name] = value
		case "varfile":
			in.VarFiles = append(in.VarFiles, rest)
		case "paths":
			paths = strings.Fields(rest)
		case "", "#":
		default:
			t.Fatalf("unknown line in the comment: %q", line)
		}
	}
	return paths, in
}

func TestDiagnosticsAsJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("spec.hcl", []byte("pair \"cache\" {\n  vip {\n    adress = \"192.168.1.220/32\"\n  }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, diags := Load([]string{"spec.hcl"}, Inputs{})
	got, err := json.MarshalIndent(diags[:2], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `[
  {
    "severity": "error",
    "summary": "Too few hosts",
    "detail": "A pair is two hosts, the preferred primary first: host \"a\" { address = … } and host \"b\" { address = … }.",
    "range": {
      "filename": "spec.hcl",
      "start": {
        "line": 1,
        "column": 1,
        "byte": 0
      },
      "end": {
        "line": 1,
        "column": 13,
        "byte": 12
      }
    },
    "snippet": {
      "context": "pair \"cache\"",
      "code": "pair \"cache\" {"
    }
  },
  {
    "severity": "error",
    "summary": "Missing address",
    "detail": "This vip block needs address = \"192.168.1.220/32\".",
    "range": {
      "filename": "spec.hcl",
      "start": {
        "line": 2,
        "column": 3,
        "byte": 17
      },
      "end": {
        "line": 2,
        "column": 6,
        "byte": 20
      }
    },
    "snippet": {
      "context": "pair \"cache\"",
      "code": "  vip {"
    }
  }
]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, _ := json.Marshal(Diagnostics(nil)); string(got) != "[]" {
		t.Errorf("no diagnostics are %s", got)
	}
}

func TestDiagnosticsAsError(t *testing.T) {
	warning := Diagnostic{Severity: Warning, Summary: "W", Detail: "w."}
	err1 := Diagnostic{Severity: Error, Summary: "E", Detail: "e.", Range: &Range{Filename: "x.hcl", Start: Pos{Line: 3, Column: 5}}}
	if err := (Diagnostics{warning}).Err(); err != nil {
		t.Errorf("a warning is an error: %v", err)
	}
	if got, want := (Diagnostics{warning, err1}).Err().Error(), "x.hcl:3,5: E: e."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (Diagnostics{err1, err1, err1}).Error(), "x.hcl:3,5: E: e. (and 2 more)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDiagnosticsInColour(t *testing.T) {
	d := Diagnostic{
		Severity: Error, Summary: "Port out of range", Detail: "one two three",
		Range:   &Range{Filename: "x.hcl", Start: Pos{Line: 7, Column: 9}, End: Pos{Line: 7, Column: 14}},
		Snippet: &Snippet{Context: `pair "cache"`, Code: "\tport = 70000 # ü"},
	}
	var out strings.Builder
	if err := (Diagnostics{d}).Write(&out, 8, true); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1;31mError:\x1b[0m \x1b[1mPort out of range\x1b[0m\n\n" +
		"  on x.hcl line 7, in pair \"cache\":\n" +
		"   7: \tport = 70000 # ü\n" +
		"      \x1b[1;31m\t       ^^^^^\x1b[0m\n\n" +
		"one two\nthree\n\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
