// Command siskin is a private language assistant for small boards: a daemon that answers prompts over MQTT with a model
// that it maps from disk, and the tools around it.
//
// Exit codes: 0 done; 1 what was asked for failed or was refused; 2 the command line is wrong; 78 the configuration is wrong.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker: -ldflags "-X main.version=…".
var version = "devel"

// Exit codes, documented in the package comment and in --help.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitConfig is EX_CONFIG of sysexits(3). It is not 2, with which a Go program ends that panics: a service manager starts that one
	// again, and not one whose configuration is wrong (RestartPreventExitStatus).
	exitConfig = 78
)

// commands is the command line; each command's Run does the work.
type commands struct {
	Run      runCommand      `cmd:"" help:"Run the daemon."`
	Doctor   doctorCommand   `cmd:"" help:"Look at everything that a daemon with a configuration needs, and say what to do about it."`
	Support  supportCommand  `cmd:"" help:"Pack what helps to find a fault into a file, without secrets and texts."`
	Demo     demoCommand     `cmd:"" help:"Run the daemon with a broker of its own, ask one question over MQTT and stay up."`
	Ask      askCommand      `cmd:"" help:"Ask a running daemon over MQTT and print the answer as it is written."`
	Chat     chatCommand     `cmd:"" help:"Talk to a running daemon; it keeps the conversation."`
	Model    modelCommand    `cmd:"" help:"Get, list and inspect model files."`
	Adapter  adapterCommand  `cmd:"" help:"Keep the adapters that requests may name."`
	Broker   brokerCommand   `cmd:"" help:"Look after the embedded broker."`
	Journal  journalCommand  `cmd:"" help:"Look after the journal of requests and answers."`
	Check    checkCommand    `cmd:"" help:"Validate a configuration and print what the daemon would do."`
	Plan     planCommand     `cmd:"" help:"Show what memory a model takes, and what gives way in a smaller budget."`
	Bench    benchCommand    `cmd:"" help:"Measure the speed of a model, and the machine beside it."`
	Embed    embedCommand    `cmd:"" help:"Turn texts into embeddings."`
	Tokenize tokenizeCommand `cmd:"" help:"Turn text into the token ids of a model."`
	Eval     evalCommand     `cmd:"" help:"Machine-readable output of a model, for verification."`
	Template templateCommand `cmd:"" help:"Render chat templates, for verification."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
	Busy     busyCommand     `cmd:"" hidden:"" help:"Keep one core busy until standard input ends."`
	Manual   manualCommand   `cmd:"" hidden:"" help:"Write the manual pages and completions that a package holds."`
}

// usageError is a mistake in how the program was called, as against a failure of what it was asked to do.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// configError is a mistake in the configuration.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// streams are where a command reads and writes; tests replace them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], &streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, s *streams) int {
	code := -1
	parser, err := kong.New(&commands{}, kong.Name("siskin"),
		kong.Description("A private language assistant for small boards.\n\nExit codes: 0 done; 1 failed or refused; 2 wrong command line; 78 wrong configuration."),
		kong.Writers(s.out, s.err), kong.Exit(func(c int) { code = c }), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(s.err, "siskin:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help has printed
	}
	if err != nil {
		fmt.Fprintf(s.err, "siskin: %v; siskin --help lists the commands\n", err)
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(s); err != nil {
		return report(s.err, err)
	}
	return 0
}

// report prints an error, one line for each of several joined ones, and returns the exit code.
func report(w io.Writer, err error) int {
	if errors.Is(err, context.Canceled) {
		return exitFailed // the person pressed Ctrl-C and knows
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(w, "siskin:", line)
	}
	var wrong configError
	if errors.As(err, &wrong) {
		return exitConfig
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
