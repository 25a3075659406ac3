package cli

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command of hapair that the documents name, with its flags, exists.
func TestDocumentedCommands(t *testing.T) {
	const top = "../../.."
	paths, err := filepath.Glob(top + "/docs/*.md")
	if err != nil || len(paths) < 2 {
		t.Fatalf("docs are %v, %v", paths, err)
	}
	root := newCmdRoot(&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	for _, path := range append(paths, top+"/README.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		commands := commandsIn(string(page))
		if len(commands) == 0 {
			t.Errorf("%s names no command", path)
		}
		for _, words := range commands {
			if err := exists(root, words); err != nil {
				t.Errorf("%s: hapair %s: %v", path, strings.Join(words, " "), err)
			}
		}
	}
}

// commandsIn are what follows the word hapair wherever a page shows code.
func commandsIn(page string) (commands [][]string) {
	fence := regexp.MustCompile("(?ms)^```[^\n]*\n(.*?)^```$")
	comment := regexp.MustCompile(`#.*`)
	var lines []string
	for _, m := range fence.FindAllStringSubmatch(page, -1) {
		lines = append(lines, strings.Split(comment.ReplaceAllString(m[1], ""), "\n")...)
	}
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		lines = append(lines, strings.ReplaceAll(m[1], "\n", " "))
	}
	call := regexp.MustCompile(`(?:^|[ (])hapair ([^|;&<>` + "`" + `]*)`)
	for _, line := range lines {
		for at := call.FindStringSubmatchIndex(line); at != nil; at = call.FindStringSubmatchIndex(line) {
			commands = append(commands, strings.Fields(line[at[2]:at[3]]))
			line = line[at[2]:] // lab exec runs another
		}
	}
	return commands
}

// exists says what is wrong with a command line, without a run.
func exists(cmd *cobra.Command, words []string) error {
	for len(words) > 0 {
		next, _, err := cmd.Find(words[:1])
		if err != nil || next == cmd {
			break
		}
		cmd, words = next, words[1:]
	}
	for i, word := range words {
		if word == "--" {
			words = words[:i]
			break
		}
	}
	if err := cmd.ParseFlags(words); err != nil {
		return err
	}
	if args := cmd.Flags().Args(); len(args) > 0 {
		return cmd.ValidateArgs(args)
	}
	return nil
}
