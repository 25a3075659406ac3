package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hapair/plan/drill"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was written with a file under testdata.
func golden(t *testing.T, path, got string) {
	t.Helper()
	path = filepath.Join("testdata", path)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// written is what one of the writers makes of a report.
func written(t *testing.T, write func(*Report, io.Writer) error, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(r, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenReports(t *testing.T) {
	for name, r := range fixtures() {
		for _, w := range writers {
			t.Run(name+"/"+w.name, func(t *testing.T) {
				golden(t, filepath.Join(name, w.name), written(t, w.write, r))
			})
		}
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "reports")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second takes the place of the first
		paths, err := fixtures()["passed"].Write(dir)
		want := []string{filepath.Join(dir, "report.json"), filepath.Join(dir, "junit.xml"), filepath.Join(dir, "report.html")}
		if diff := cmp.Diff(want, paths); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil || info.Mode() != 0o644 || info.Size() == 0 {
				t.Errorf("%s: %v, %v", path, info, err)
			}
		}
	}
	if got := names(t, dir); !slices.Equal(got, []string{"junit.xml", "report.html", "report.json"}) {
		t.Errorf("there are %v", got)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
}

// What cannot be written whole leaves what was there before.
func TestWriteLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	before := filepath.Join(dir, JSONName)
	if err := os.WriteFile(before, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { writers[1].write = (*Report).writeJUnit })
	writers[1].write = func(_ *Report, w io.Writer) error {
		io.WriteString(w, "half")
		return errors.New("no room")
	}
	paths, err := fixtures()["passed"].Write(dir)
	if want := filepath.Join(dir, JUnitName); paths != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("%v, %v: want an error that names %s", paths, err, want)
	}
	if got, _ := os.ReadFile(before); string(got) != "before" {
		t.Errorf("%s is now %q", before, got)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

func TestWriteWhereNothingCanBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(file, "dir")
	_, err := fixtures()["passed"].Write(dir)
	for _, err := range []error{Prepare(dir), Prepare(file), err} {
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%v: want an error that names %s", err, file)
		}
	}
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// Nothing is lost in report.json.
func TestJSONHoldsEverything(t *testing.T) {
	for name, r := range fixtures() {
		var got Report
		if err := json.Unmarshal([]byte(written(t, (*Report).writeJSON, r)), &got); err != nil {
			t.Fatal(err)
		}
		rounded := cmp.Transformer("µs", func(m drill.Millis) int64 { return m.Duration().Microseconds() })
		ignore := []cmp.Option{rounded, cmpopts.IgnoreFields(drill.Result{}, "Err"), cmpopts.IgnoreUnexported(drill.Result{}), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(r, &got, ignore...); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNew(t *testing.T) {
	for name, want := range map[string]struct {
		verdict drill.Verdict
		code    int
		took    drill.Millis
	}{
		"passed":   {drill.Passed, 0, ms(10000 + 7723.755)},
		"trouble":  {drill.Failed, 1, ms(3010000 + 7723.755)},
		"repeated": {drill.Deviated, 4, ms(50000 + 7723.755)},
		"nothing":  {drill.Inconclusive, 5, ms(7723.755)},
	} {
		if r := fixtures()[name]; r.Verdict != want.verdict || r.ExitCode != want.code || r.Took != want.took || !r.Started.Equal(start) {
			t.Errorf("%s: %s, %d, %s from %s", name, r.Verdict, r.ExitCode, r.Took, r.Started)
		}
	}
}

// junit is the file as a reader knows it, which is not as it was written.
type junit struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suites   []struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Class    string     `xml:"classname,attr"`
			Name     string     `xml:"name,attr"`
			Time     float64    `xml:"time,attr"`
			Failures []xmlBlock `xml:"failure"`
			Errors   []xmlBlock `xml:"error"`
			Skipped  []xmlBlock `xml:"skipped"`
			Out      string     `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type xmlBlock struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func TestJUnit(t *testing.T) {
	for name, r := range fixtures() {
		t.Run(name, func(t *testing.T) {
			var got junit
			if err := xml.Unmarshal([]byte(written(t, (*Report).writeJUnit, r)), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Suites) != 1 {
				t.Fatalf("%d suites", len(got.Suites))
			}
			suite := got.Suites[0]
			count := map[drill.Verdict]int{}
			for _, one := range r.Results {
				count[one.Verdict]++
			}
			bad := count[drill.Inconclusive] + count[drill.Failed]
			if n := len(r.Results); got.Tests != n || suite.Tests != n || len(suite.Cases) != n || suite.Failures != count[drill.Deviated] || got.Failures != suite.Failures ||
				suite.Errors != bad || got.Errors != bad || suite.Skipped != 0 {
				t.Errorf("the counts are wrong: %+v", got)
			}
			seen := map[string]bool{}
			for i, c := range suite.Cases {
				one := r.Results[i]
				if seen[c.Name] {
					t.Errorf("two cases are called %s", c.Name)
				}
				seen[c.Name] = true
				if c.Class != "cache" || !strings.HasPrefix(c.Name, one.Drill) || c.Time < one.Took.Duration().Seconds()-0.001 {
					t.Errorf("%+v", c)
				}
				if passed := len(c.Failures)+len(c.Errors) == 0; passed != (one.Verdict == drill.Passed) || len(c.Failures) > 1 || len(c.Errors) > 1 || len(c.Skipped) > 0 {
					t.Errorf("%s, which %s, has %d failures, %d errors, %d skips", c.Name, one.Verdict, len(c.Failures), len(c.Errors), len(c.Skipped))
				}
				for _, problem := range slices.Concat(c.Failures, c.Errors) {
					if problem.Type != string(one.Verdict) || problem.Message == "" || strings.TrimSpace(problem.Text) == "" {
						t.Errorf("%s: %+v", c.Name, problem)
					}
				}
				for _, d := range one.Deviations {
					if !strings.Contains(c.Failures[0].Text, d.String()) {
						t.Errorf("%s does not say %q", c.Name, d)
					}
				}
				for _, e := range one.Timeline {
					if !strings.Contains(c.Out, printable(e.Text)) {
						t.Errorf("%s does not say %q", c.Name, e.Text)
					}
				}
			}
		})
	}
}

// Whatever hosts and programs say: nothing in a file steers what shows it.
func TestNothingSteers(t *testing.T) {
	r := New("1.2.3", []*drill.Result{failed(0)})
	for _, w := range writers {
		text := written(t, w.write, r)
		for _, c := range text {
			// JSON is for programs: it has the rest as it was said.
			if c < ' ' && c != '\n' && c != '\t' || w.name != JSONName && (c >= 0x7f && c < 0xa0 || strings.ContainsRune("\u202e\u2028\uFFFE", c)) {
				t.Errorf("%s has the character %U", w.name, c)
				break
			}
		}
	}
	text := written(t, (*Report).writeHTML, r)
	for _, bad := range []string{"<script", "<b>bold", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("report.html has %s", bad)
		}
	}
	if n := strings.Count(text, "</style>"); n != 1 {
		t.Errorf("report.html ends its style %d times", n)
	}
}

// Nothing in the page could be asked of another place.
func TestPageIsSelfContained(t *testing.T) {
	for name, r := range fixtures() {
		text := written(t, (*Report).writeHTML, r)
		for _, what := range []string{`\ssrc=`, `<link`, `<script`, `<iframe`, `<object`, `<image`, `@import`, `https?://`, `url\([^#]`, `href="[^#]`} {
			if found := regexp.MustCompile(what).FindString(text); found != "" {
				t.Errorf("%s has %s", name, found)
			}
		}
	}
}

// A report of everything, often, can still be opened.
func TestPageOfManyRuns(t *testing.T) {
	var all []*drill.Result
	for d := range 22 {
		for n := range 20 {
			r := failover("drill-"+string(rune('a'+d)), "a", "b", 20*d+n, 300+float64(n))
			r.Series = series(-2000, 4500, 50, 0, 300)
			all = append(all, r)
		}
	}
	all[7].Verdict = drill.Deviated
	text := written(t, (*Report).writeHTML, New("1.2.3", all))
	if size := len(text); size > 10e6 {
		t.Errorf("%d bytes", size)
	}
	if n := strings.Count(text, "<details id="); n != len(all) {
		t.Errorf("%d runs of %d can be unfolded", n, len(all))
	}
	if n := strings.Count(text, " open>"); n != 1 {
		t.Errorf("%d runs are unfolded, want the one that deviated", n)
	}
}
