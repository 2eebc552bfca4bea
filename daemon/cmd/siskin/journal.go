package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/journal"
	"siskin/daemon/ledger"
)

// journalCommand looks after the journal of requests and answers.
type journalCommand struct {
	Inspect journalInspectCommand `cmd:"" help:"List the records of a journal; also while the daemon runs."`
	Verify  journalVerifyCommand  `cmd:"" help:"Read all of a journal and report damage; also while the daemon runs. Exit code 1: there is some."`
	Compact journalCompactCommand `cmd:"" help:"Write a journal anew with what is wanted still. The daemon does that itself; it must not run."`
}

// journalFolder names a journal: the folder of a device.
type journalFolder struct {
	Folder string `arg:"" type:"path" help:"Folder of the journal: journal.dir and the name of the device."`
}

// read opens the folder without keeping the daemon from it.
func (f *journalFolder) read() (*journal.Disk, error) {
	if segments, err := filepath.Glob(filepath.Join(f.Folder, "*.seg")); err == nil && len(segments) == 0 {
		if devices, err := filepath.Glob(filepath.Join(f.Folder, "*", "*.seg")); err == nil && len(devices) > 0 {
			return nil, usagef("%s is the folder of several journals; name one of them, such as %s", f.Folder, filepath.Dir(devices[0]))
		}
	}
	return journal.ReadDisk(f.Folder)
}

type journalInspectCommand struct {
	journalFolder
	Text bool `help:"Print the texts of requests and answers, too."`
}

func (c *journalInspectCommand) Run(s *streams) (err error) {
	disk, err := c.read()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	defer func() { err = errors.Join(err, w.Flush()) }()
	fmt.Fprintln(w, "NUMBER\tKIND\tID\tTIME\tBYTES\tNOTE")
	return ledger.Inspect(disk, func(l ledger.Line) error {
		at := ""
		if !l.At.IsZero() {
			at = l.At.Format(time.DateTime)
		}
		_, err := fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\n", l.Number, l.Kind, l.ID, at, l.Bytes, l.Note)
		if c.Text && len(l.Text) > 0 && err == nil {
			_, err = fmt.Fprintf(w, "\t%s\n", l.Text)
		}
		return err
	}, func(d journal.Damage) {
		fmt.Fprintf(w, "damaged: %d bytes in %s at %d\n", d.Bytes, d.Segment, d.Offset)
	})
}

type journalVerifyCommand struct{ journalFolder }

func (c *journalVerifyCommand) Run(s *streams) error {
	disk, err := c.read()
	if err != nil {
		return err
	}
	records, bytes, damage := 0, 0, 0
	err = ledger.Inspect(disk, func(l ledger.Line) error {
		records++
		bytes += l.Bytes
		return nil
	}, func(d journal.Damage) {
		damage++
		fmt.Fprintf(s.out, "damaged: %d bytes in %s at %d\n", d.Bytes, d.Segment, d.Offset)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%d records with %d bytes of requests and answers\n", records, bytes)
	if damage > 0 {
		return fmt.Errorf("%s is damaged in %d places; the daemon leaves these out and goes on, and compacting removes them", c.Folder, damage)
	}
	return nil
}

type journalCompactCommand struct{ journalFolder }

func (c *journalCompactCommand) Run(s *streams) (err error) {
	if _, err := c.read(); err != nil {
		return err
	}
	disk, err := journal.OpenDisk(c.Folder)
	if err != nil {
		return fmt.Errorf("%w; stop the daemon first", err)
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	settings := config.Default().Journal
	l, err := ledger.Open(ledger.Options{
		Folder: disk, SegmentBytes: 1 << 20, Clock: ledger.SystemClock(root(), false),
		Limits: ledger.Limits{Bytes: int64(settings.MaxSize), Window: settings.Window, Age: settings.WindowAge.Duration},
		Log:    slog.New(slog.NewTextHandler(s.err, nil)),
	})
	if err != nil {
		return err
	}
	before := l.Bytes()
	err = l.Compact()
	after := l.Bytes()
	if err = errors.Join(err, l.Close()); err == nil {
		_, err = fmt.Fprintf(s.out, "%d bytes, before %d\n", after, before)
	}
	return err
}

// root is the file system.
func root() fs.FS { return os.DirFS("/") }
