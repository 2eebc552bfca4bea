package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"siskin/daemon"
	"siskin/daemon/config"
	"siskin/daemon/journal"
	"siskin/daemon/ledger"
	"siskin/daemon/memory"
	"siskin/model/budget"
	"siskin/model/kernel"
	"siskin/model/mapfile"
)

type doctorCommand struct {
	Config string `required:"" type:"path" help:"Configuration file (TOML)."`
	JSON   bool   `help:"Print one JSON object a line."`
	overrideFlags
}

// The limits of what the doctor finds good.
const (
	slowStorage   = 20e6                   // bytes a second: a slow SD card; a model of 100 MB takes five seconds to load
	storageSample = 32 << 20               // bytes that are read to measure it
	brokerTime    = 10 * time.Second       // for the connection
	slowSync      = 200 * time.Millisecond // of one record in the journal; prompts wait for it before they count as accepted
	syncs         = 5                      // that are measured
	secretMode    = 0o077                  // permission bits that a file with a secret should not have
)

// finding is what one look at the machine says.
type finding struct {
	what   string
	good   bool
	warn   bool   // only a warning, if it is not good
	text   string // what was found
	advice string // what to do, if it is not good
}

// verdict is one word for how it looks.
func (f *finding) verdict() string {
	switch {
	case f.good:
		return "ok"
	case f.warn:
		return "warning"
	default:
		return "BAD"
	}
}

// write prints it for a person.
func (f *finding) write(w io.Writer) {
	fmt.Fprintf(w, "%s\t%s\t%s\n", f.what, f.verdict(), f.text)
	if !f.good && f.advice != "" {
		fmt.Fprintf(w, "\t\tdo: %s\n", f.advice)
	}
}

// look is one of the looks that the doctor takes.
type look func(context.Context, *config.Config) finding

// looks are all of them, what needs nothing else first.
func looks() []look {
	return []look{
		lookAtCPU, lookAtKernels, lookAtModel, lookAtMemory, lookAtStorage, lookAtState, lookAtJournal, lookAtSecrets, lookAtClock, lookAtBroker,
	}
}

// Run looks at everything that a daemon with this configuration needs, says what it finds and what to do, and fails if the daemon
// would not work.
func (c *doctorCommand) Run(ctx context.Context, s *streams) error {
	settings, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	c.override(&settings)
	bad := 0
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	lines := json.NewEncoder(s.out)
	for _, look := range looks() {
		f := look(ctx, &settings)
		if !f.good && !f.warn {
			bad++
		}
		if !c.JSON {
			f.write(w)
			continue
		}
		if f.good {
			f.advice = ""
		}
		if err := lines.Encode(map[string]string{"what": f.what, "verdict": strings.ToLower(f.verdict()), "found": f.text, "advice": f.advice}); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of the above would keep the daemon from working", bad)
	}
	return nil
}

func lookAtCPU(context.Context, *config.Config) finding {
	sets, m := kernel.All(), machine()
	f := finding{what: "cpu", good: len(sets) > 1, warn: true, text: fmt.Sprintf("%d cores for this process, kernels %s", len(m.Allowed), sets[0].Name)}
	if m.Model != "" {
		f.text = m.Model + ", " + f.text
	}
	f.advice = "this CPU has no kernels of its own and is slow: AVX2 on amd64, or any arm64, would be ten times faster"
	return f
}

func lookAtKernels(context.Context, *config.Config) finding {
	var broken error
	for _, set := range kernel.All() {
		broken = errors.Join(broken, kernel.SelfTest(set))
	}
	if broken != nil {
		return finding{what: "kernels", text: broken.Error(), advice: "the CPU or its memory may be faulty; kernels = \"generic\" runs without them; report it"}
	}
	return finding{what: "kernels", good: true, text: "every product of every set agrees with the plain ones"}
}

func lookAtModel(_ context.Context, c *config.Config) finding {
	found, err := daemon.Check(*c, options(c, slog.New(slog.DiscardHandler)))
	f := finding{what: "model", advice: "siskin model inspect " + c.Model.Path}
	var over *budget.OverBudget
	switch {
	case errors.As(err, &over):
		f.text = fmt.Sprintf("does not fit into %s", budget.MiB(over.Have))
		f.advice = fmt.Sprintf("give it %s (memory.budget, MemoryMax), or take a smaller model", budget.MiB(over.Need))
	case err != nil:
		f.text = err.Error()
	case len(found.Memory.Steps) > 0:
		f.warn, f.text = true, fmt.Sprintf("runs, with %s", found.Memory.Steps[len(found.Memory.Steps)-1])
		f.advice = fmt.Sprintf("siskin plan shows what gave way to a budget of %s", budget.MiB(found.Memory.Budget))
	default:
		f.good, f.text = true, fmt.Sprintf("%s takes %s of %s", found.Model, budget.MiB(found.Memory.Total()), budget.MiB(found.Memory.Budget))
	}
	return f
}

func lookAtMemory(_ context.Context, c *config.Config) finding {
	l := memory.ReadLimits(os.DirFS("/"))
	f := finding{what: "memory", good: true}
	switch asked := int64(c.Memory.Budget); {
	case l.Group > 0 && asked > l.Group:
		f.good, f.text = false, fmt.Sprintf("memory.budget is %s, the control group has %s (%s)", budget.MiB(asked), budget.MiB(l.Group), l.GroupFile)
		f.advice = "siskin plan --systemd writes a drop-in with the same number"
	case l.Available > 0 && asked > l.Available:
		f.good, f.warn, f.text = false, true, fmt.Sprintf("memory.budget is %s, the system has %s available", budget.MiB(asked), budget.MiB(l.Available))
		f.advice = "a smaller memory.budget, or fewer other programs"
	case l.Group > 0:
		f.text = fmt.Sprintf("the control group has %s (%s)", budget.MiB(l.Group), l.GroupFile)
	case l.Available > 0:
		f.text = fmt.Sprintf("%s are available, no control group bounds this process", budget.MiB(l.Available))
	default:
		f.good, f.warn = asked > 0, true
		f.text, f.advice = "this system does not say how much there is", "set memory.budget"
	}
	return f
}

// lookAtStorage reads a part of the model from the device, without the page cache.
func lookAtStorage(_ context.Context, c *config.Config) finding {
	f := finding{what: "storage", warn: true}
	m, err := mapfile.Open(c.Model.Path)
	if err != nil {
		f.text = "not measured: " + err.Error()
		return f
	}
	defer m.Close() // read-only
	n := min(m.Size(), storageSample)
	if err := m.Drop(0, n); err != nil {
		f.text = "not measured: " + err.Error()
		return f
	}
	begun := time.Now()
	if err := m.Populate(0, n); err != nil {
		f.text = "not measured: " + err.Error()
		return f
	}
	speed := float64(n) / max(time.Since(begun).Seconds(), 1e-6)
	f.good, f.text = speed >= slowStorage, fmt.Sprintf("reads the model at %.0f MB/s", speed/1e6)
	f.advice = "a faster card or drive: starts are slow, and weights larger than the budget can hardly be used"
	return f
}

// lookAtState writes into the folder where the daemon keeps what it finds out.
func lookAtState(_ context.Context, c *config.Config) finding {
	folder := options(c, slog.New(slog.DiscardHandler)).StateFolder
	f := finding{what: "state", warn: true, text: folder, advice: "without it every start measures threads anew: set daemon.state to a folder that this user can write to"}
	if folder == "" {
		f.text = "no folder"
		return f
	}
	err := os.MkdirAll(folder, 0o700)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(folder, ".doctor-*"); err == nil {
			err = errors.Join(probe.Close(), os.Remove(probe.Name()))
		}
	}
	if f.good = err == nil; !f.good {
		f.text = err.Error()
	}
	return f
}

// lookAtJournal writes and syncs as the daemon does for a prompt, beside its journal, and reads what is in that.
func lookAtJournal(_ context.Context, c *config.Config) finding {
	f := finding{what: "journal", advice: "prompts would be lost in a power cut: set journal.dir to a folder on a disk that this user can write to"}
	if !c.Journal.Enabled {
		f.warn, f.text = true, "switched off"
		return f
	}
	folder := journalFolderOf(c)
	if folder == "" {
		f.warn, f.text = true, "no folder"
		return f
	}
	took, err := timeSyncs(folder)
	if err != nil {
		f.text = err.Error()
		return f
	}
	f.text = fmt.Sprintf("%s, a record takes %v to be safe", folder, took.Round(10*time.Microsecond))
	if took > slowSync {
		f.warn, f.advice = true, "prompts are accepted that slowly: a faster card or drive for journal.dir"
		return f
	}
	damage, err := journalDamage(filepath.Join(folder, c.Device))
	if err != nil || damage > 0 {
		f.text += fmt.Sprintf("; %d damaged places", damage)
		if err != nil {
			f.text += fmt.Sprintf(" (%v)", err)
		}
		f.warn, f.advice = true, "siskin journal verify says where; the daemon leaves them out and goes on. A card that loses data should be replaced"
		return f
	}
	f.good = true
	return f
}

// timeSyncs is the median time of writing and syncing a record in a new file of the folder.
func timeSyncs(folder string) (_ time.Duration, err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return 0, err
	}
	probe, err := os.CreateTemp(folder, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, probe.Close(), os.Remove(probe.Name())) }()
	took := make([]time.Duration, syncs)
	for i := range took {
		begun := time.Now()
		if _, err := probe.Write(make([]byte, 512)); err != nil {
			return 0, err
		}
		if err := probe.Sync(); err != nil {
			return 0, err
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	return took[syncs/2], nil
}

// journalDamage counts the damaged places of a journal; one that is not there has none.
func journalDamage(folder string) (damage int, err error) {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	disk, err := journal.ReadDisk(folder)
	if err != nil {
		return 0, err
	}
	err = ledger.Inspect(disk, func(ledger.Line) error { return nil }, func(journal.Damage) { damage++ })
	return damage, err
}

func lookAtSecrets(_ context.Context, c *config.Config) finding {
	f := finding{what: "secrets", good: true, text: "no file of a secret is open to others"}
	for _, path := range []string{c.MQTT.PasswordFile, c.MQTT.KeyFile, c.MQTT.Embedded.UsersFile, c.MQTT.Embedded.KeyFile} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			f.good, f.text, f.advice = false, err.Error(), "write it, or leave the setting out"
		case info.Mode().Perm()&secretMode != 0 && f.good:
			f.good, f.warn = false, true
			f.text, f.advice = fmt.Sprintf("%s may be read by others (%v)", path, info.Mode().Perm()), "chmod 600 "+path
		}
	}
	return f
}

// lookAtClock finds clocks that have forgotten the time: deadlines would be wrong, and certificates not valid yet.
func lookAtClock(_ context.Context, c *config.Config) finding {
	f := finding{what: "clock", good: true, text: time.Now().Format(time.RFC3339)}
	newest, from := time.Time{}, ""
	for _, path := range []string{os.Args[0], c.Model.Path, filepath.Dir(c.Model.Path)} {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
			newest, from = info.ModTime(), path
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
	}
	if now := time.Now(); now.Before(newest.Add(-time.Minute)) {
		f.good, f.text = false, fmt.Sprintf("it is %s, but %s was written %s", now.Format(time.RFC3339), from, newest.Format(time.RFC3339))
		f.advice = "set the clock, or let it be set (systemd-timesyncd, chrony) before siskin starts"
	}
	return f
}

func lookAtBroker(ctx context.Context, c *config.Config) finding {
	if err := ctx.Err(); err != nil {
		return finding{what: "broker", text: err.Error()}
	}
	if c.MQTT.Embedded.Enabled {
		return finding{what: "broker", good: true, text: "the daemon's own, at " + c.MQTT.Embedded.Listen}
	}
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	begun := time.Now()
	if err := daemon.Reach(ctx, *c, slog.New(slog.NewTextHandler(io.Discard, nil))); err != nil {
		return finding{what: "broker", text: err.Error(), advice: "is it up, and are address, user, password and certificates right? mosquitto_sub -d shows more"}
	}
	return finding{what: "broker", good: true, text: fmt.Sprintf("%s, connected in %v", c.MQTT.Broker, time.Since(begun).Round(time.Millisecond))}
}
