package spec

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"
)

func TestStarter(t *testing.T) {
	in(t, map[string]string{DefaultFile: string(Starter())})
	mustLoad(t, Inputs{})
	formatted, diags := Format(Starter(), DefaultFile)
	if diags.HasErrors() || !bytes.Equal(formatted, Starter()) {
		t.Errorf("the starter is not formatted: %v\n%s", diags, formatted)
	}
}

// Every argument and block that the language has is shown in the starter, but
// for a few that few need.
func TestStarterShowsTheLanguage(t *testing.T) {
	skipped := " labels become_password identity_file known_hosts garp_master_delay auth_password handlers patches make test configure product name "
	for _, s := range []schema{pairSchema, vipSchema, sshSchema, hostSchema, accountSchema, redisSchema, redisSourceSchema, keepalivedSchema, checkSchema, failoverSchema, drillSchema, stepSchema} {
		for _, word := range append(append([]string{}, s.attrs...), s.blocks...) {
			if strings.Contains(skipped, " "+word+" ") || strings.Contains(strings.Join(later, " "), word) {
				continue
			}
			if !bytes.Contains(Starter(), []byte(word)) {
				t.Errorf("the starter does not mention %s", word)
			}
		}
	}
}

func TestFormat(t *testing.T) {
	got, diags := Format([]byte("pair \"x\" {\nvip {\n   address=\"10.0.0.1\"\n}\n  host   \"a\"   {\n  address = \"10.0.0.2\"\n  priority=1\n  }\n}\n"), "x.hcl")
	want := "pair \"x\" {\n  vip {\n    address = \"10.0.0.1\"\n  }\n  host \"a\" {\n    address  = \"10.0.0.2\"\n    priority = 1\n  }\n}\n"
	if len(diags) > 0 || string(got) != want {
		t.Errorf("%v\n%s", diags, got)
	}
	if got, diags := Format([]byte("pair {"), "x.hcl"); got != nil || !diags.HasErrors() || diags[0].Range.Filename != "x.hcl" {
		t.Errorf("what does not parse was formatted: %q, %v", got, diags)
	}
}

// Formatting twice is formatting once, and formatting changes no value.
func TestFormatTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := []byte(genBody(0).Draw(t, "spec"))
		once, diags := Format(src, "x.hcl")
		if diags.HasErrors() {
			t.Fatalf("%v\n%s", diags, src)
		}
		twice, diags := Format(once, "x.hcl")
		if diags.HasErrors() || !bytes.Equal(once, twice) {
			t.Fatalf("%v\nonce:\n%s\ntwice:\n%s", diags, once, twice)
		}
	})
}

// genBody is the inside of a block, badly laid out.
func genBody(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		space := rapid.SampledFrom([]string{"", " ", "   ", "\t"})
		word := rapid.StringMatching(`[a-z][a-z_]{0,8}`)
		value := rapid.SampledFrom([]string{
			`"10.0.0.1/32"`, `12`, `true`, `"${var.x}/y"`, `[1,2 ,3]`, "[\n1,\n  2,\n]", `{a=1, b = "x"}`, "{\na=1\n  bcd   =  2\n}",
			`merge(local.a,{b=1})`, `var.x`, `x ? 1:2`, "<<EOT\n  text\nEOT", `-1`, `!true`, `[for x in y:x]`, `file( "x" )`,
		})
		comment := rapid.SampledFrom([]string{"", "", " # why", " // why", "/* why */"})
		var b strings.Builder
		for i := range rapid.IntRange(0, 5).Draw(t, "lines") {
			b.WriteString(space.Draw(t, "indent"))
			switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
			case kind == 0:
				b.WriteString("# " + word.Draw(t, "comment"))
			case kind == 1:
			case kind == 2 && depth < 3:
				b.WriteString(word.Draw(t, "block") + space.Draw(t, "space") + ` "` + word.Draw(t, "label") + `"` + space.Draw(t, "space") + "{\n" +
					genBody(depth+1).Draw(t, "inner") + space.Draw(t, "indent") + "}")
			default:
				v := value.Draw(t, "value")
				b.WriteString(word.Draw(t, "name") + string(rune('a'+i)) + space.Draw(t, "space") + "=" + space.Draw(t, "space") + v)
				if !strings.HasPrefix(v, "<<") {
					b.WriteString(comment.Draw(t, "why"))
				}
			}
			b.WriteByte('\n')
		}
		return b.String()
	})
}

// FuzzLoad feeds Load whatever there is: it must neither panic nor show a
// sensitive value, and a Spec comes out exactly when there is no error.
func FuzzLoad(f *testing.F) {
	f.Add(Starter())
	archives, _ := filepath.Glob("testdata/diagnostics/*.txtar")
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if file.Name == "spec.hcl" {
				f.Add(file.Data)
			}
		}
	}
	examples, _ := filepath.Glob("../../examples/*.hcl")
	for _, path := range examples {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	const canary = "c4n4ry-in-the-coal-mine"
	f.Fuzz(func(t *testing.T, src []byte) {
		if bytes.Contains(src, []byte("format(")) {
			return // a width of a billion is the writer's own doing
		}
		src = append(src, "\nvariable \"zz_canary\" {\n  sensitive = true\n}\n"...)
		files := &Files{names: []string{"spec.hcl"}, sources: map[string][]byte{"spec.hcl": src}}
		spec, diags := load(files, Inputs{
			Env:  map[string]string{"HAPAIR_VAR_zz_canary": canary},
			Vars: map[string]string{"zz_canary": canary},
		})
		if (spec == nil) != diags.HasErrors() {
			t.Errorf("spec %v, errors %v", spec, diags)
		}
		var out bytes.Buffer
		if err := diags.Write(&out, 80, true); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out.Bytes(), []byte(canary)) {
			t.Errorf("the secret is shown:\n%s", out.Bytes())
		}
		once, diags := Format(src, "spec.hcl")
		if diags.HasErrors() {
			return
		}
		if twice, _ := Format(once, "spec.hcl"); !bytes.Equal(once, twice) {
			t.Errorf("formatting twice differs:\n%s\n---\n%s", once, twice)
		}
	})
}
