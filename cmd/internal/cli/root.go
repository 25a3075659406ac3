package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Groups of commands, as help lists them.
const (
	groupSpec = "spec"
	groupPair = "pair"
	groupRun  = "run"
	groupLab  = "lab"
)

func newCmdRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "hapair",
		Short: "One virtual IP in front of Redis on two Linux hosts, with keepalived",
		Long: `hapair provisions and runs one virtual IP in front of Redis on two Linux hosts,
with keepalived. It reads a spec, looks at both hosts over SSH, shows what would
change, makes it so, and proves by drills that failover works.`,
		Example: `  hapair init                  write a starter spec, hapair.hcl
  hapair plan                  see what would change
  hapair apply                 make it so
  hapair drill documented      prove the failover, measured
  hapair status                both hosts at a glance`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { help(a.out, cmd) })
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	cobra.EnableCommandSorting = false // help lists commands in the order of a life

	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.BoolVar(&a.noColor, "no-color", false, "no colour, as NO_COLOR in the environment")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no hints: results and problems only")
	flags.BoolVar(&a.input, "input", true, "ask where something is to be decided; --input=false or HAPAIR_INPUT=0: never")
	flags.BoolP("help", "h", false, "help for this command")

	root.AddGroup(
		&cobra.Group{ID: groupSpec, Title: "Write a spec"},
		&cobra.Group{ID: groupPair, Title: "Make hosts match it"},
		&cobra.Group{ID: groupRun, Title: "Run the pair"},
		&cobra.Group{ID: groupLab, Title: "Try it on this machine"},
	)
	root.AddCommand(
		newCmdInit(a, nil), newCmdValidate(a, nil), newCmdFmt(a, nil), newCmdRender(a, nil),
		newCmdPlan(a, nil), newCmdApply(a, nil),
		newCmdStatus(a, nil), newCmdEvents(a, nil), newCmdStart(a, nil), newCmdStop(a, nil), newCmdRecover(a, nil), newCmdSwitchover(a, nil), newCmdPromote(a, nil), newCmdUnlock(a, nil), newCmdDrill(a, nil),
		newCmdLab(a), newCmdVersion(a),
	)
	root.InitDefaultCompletionCmd()
	return root
}

// usageError is a mistake on the command line.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Next says what to do about it.
func (e *usageError) Next() string { return "See " + e.cmd.CommandPath() + " --help." }

// knownCommand refuses what is no command of cmd, which only groups others.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
	}
	return &usageError{cmd, err}
}

// noArguments is for commands that take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{cmd, fmt.Errorf("%s takes no argument, but got %q", cmd.CommandPath(), args[0])}
}

// someArguments is for commands that want at least one, called what.
func someArguments(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return nil
		}
		return &usageError{cmd, fmt.Errorf("%s wants %s", cmd.CommandPath(), what)}
	}
}

// help is the same page for every command: what it does, how to call it,
// examples, its commands or flags, and its exit codes.
func help(w io.Writer, cmd *cobra.Command) {
	var b strings.Builder
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(text), useLine(cmd))
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	helpCommands(&b, cmd)
	if cmd.HasParent() {
		helpFlags(&b, "Flags", cmd.LocalNonPersistentFlags())
	}
	helpFlags(&b, "Common flags", cmd.Root().PersistentFlags())
	helpExits(&b, cmd)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\nMore on a command: %s COMMAND --help\n", cmd.CommandPath())
	}
	io.WriteString(w, b.String())
}

func useLine(cmd *cobra.Command) string {
	_, args, _ := strings.Cut(cmd.Use, " ")
	switch {
	case args != "":
		return cmd.CommandPath() + " [flags] " + args
	case cmd.HasAvailableSubCommands():
		return cmd.CommandPath() + " COMMAND"
	default:
		return cmd.CommandPath() + " [flags]"
	}
}

func helpCommands(b *strings.Builder, cmd *cobra.Command) {
	longest := 0
	for _, c := range cmd.Commands() {
		longest = max(longest, len(c.Name()))
	}
	list := func(title, group string) {
		printed := false
		for _, c := range cmd.Commands() {
			if c.GroupID != group || !c.IsAvailableCommand() {
				continue
			}
			if !printed {
				fmt.Fprintf(b, "\n%s:\n", title)
				printed = true
			}
			fmt.Fprintf(b, "  %-*s  %s\n", longest, c.Name(), c.Short)
		}
	}
	for _, g := range cmd.Groups() {
		list(g.Title, g.ID)
	}
	list("Commands", "")
}

func helpFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	flags.SortFlags = false
	if flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s:\n%s", title, flags.FlagUsages())
	}
}

func helpExits(b *strings.Builder, cmd *cobra.Command) {
	meanings := exitMeanings(cmd.CommandPath())
	b.WriteString("\nExit codes:\n")
	for _, code := range slices.Sorted(maps.Keys(meanings)) {
		fmt.Fprintf(b, "  %3d  %s\n", code, meanings[code])
	}
}
