package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"siskin/daemon/config"
	"siskin/daemon/journal"
	"siskin/daemon/ledger"
)

// supportCommand packs what somebody who helps from afar needs to see, and nothing that is nobody's business.
type supportCommand struct {
	Config string `required:"" type:"path" help:"Configuration file (TOML)."`
	Output string `short:"o" type:"path" default:"siskin-support.tar.gz" help:"File to write; one that is there is not replaced."`
	Log    string `help:"Log to put in: a file, or - for standard input (journalctl -u siskin -n 2000 | siskin support --log - …)."`
	overrideFlags
}

// Bounds of a bundle.
const (
	maxSupportLog     = 4 << 20 // bytes of the end of a log
	maxSupportMetrics = 1 << 20
	metricsPatience   = 5 * time.Second
)

// part is one file of the bundle.
type part struct {
	name string
	make func(context.Context, *supportCommand, *streams, *config.Config) ([]byte, error)
}

func (c *supportCommand) Run(ctx context.Context, s *streams) (err error) {
	settings, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	c.override(&settings)
	secrets := secretsOf(&settings)
	out, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(c.Output)
		}
	}()
	zip := gzip.NewWriter(out)
	bundle := tar.NewWriter(zip)
	for _, p := range []part{
		{"version.txt", supportVersion},
		{"machine.txt", supportMachine},
		{"doctor.txt", supportDoctor},
		{"config.toml", supportConfig},
		{"metrics.txt", supportMetrics},
		{"journal.txt", supportJournal},
		{"log.txt", supportLog},
	} {
		data, err := p.make(ctx, c, s, &settings)
		if err != nil {
			data = fmt.Appendf(data, "\n%v\n", err)
		}
		if len(data) == 0 {
			continue
		}
		data = redact(data, secrets)
		head := &tar.Header{Name: "siskin-support/" + p.name, Mode: 0o600, Size: int64(len(data)), ModTime: time.Now()}
		if err := bundle.WriteHeader(head); err != nil {
			return err
		}
		if _, err := bundle.Write(data); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%-12s %7d bytes\n", p.name, len(data))
	}
	if err := errors.Join(bundle.Close(), zip.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s is written. There is no text of a prompt or an answer in it, no password and no key; look before you send it.\n", c.Output)
	return err
}

// secretsOf reads the secrets that the configuration names, so that they can be found wherever they are.
func secretsOf(c *config.Config) (secrets []string) {
	for _, path := range []string{c.MQTT.PasswordFile, c.MQTT.KeyFile, c.MQTT.Embedded.UsersFile, c.MQTT.Embedded.KeyFile} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			const least = 4 // shorter ones would blacken half of the bundle, and protect nothing
			if line = strings.TrimSpace(line); len(line) >= least {
				secrets = append(secrets, line)
			}
		}
	}
	sort.Slice(secrets, func(i, j int) bool { return len(secrets[i]) > len(secrets[j]) })
	return secrets
}

// What looks like a secret, whatever the configuration says: values of settings of such a name, a password in an address, keys in PEM.
var (
	secretSetting = regexp.MustCompile(`(?im)^([#\s]*[\w.]*(?:password|passwd|secret|token|apikey|api_key)[\w.]*\s*=\s*).*$`)
	secretAddress = regexp.MustCompile(`://[^/\s"@]+@`)
	secretPEM     = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
	secretPath    = regexp.MustCompile(`(?i)_file\s*=`)
)

const blackened = "[removed]"

// redact takes out secrets.
func redact(data []byte, secrets []string) []byte {
	for _, s := range secrets {
		data = bytes.ReplaceAll(data, []byte(s), []byte(blackened))
	}
	data = secretPEM.ReplaceAll(data, []byte(blackened))
	data = secretAddress.ReplaceAll(data, []byte("://"+blackened+"@"))
	return secretSetting.ReplaceAllFunc(data, func(line []byte) []byte {
		if secretPath.Match(line) {
			return line // where a secret is, is none
		}
		return secretSetting.ReplaceAll(line, []byte("${1}\""+blackened+"\""))
	})
}

func supportVersion(context.Context, *supportCommand, *streams, *config.Config) ([]byte, error) {
	return fmt.Appendf(nil, "siskin %s, %s, %s/%s\n%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().Format(time.RFC3339)), nil
}

// supportMachine is what the system says of itself, without names and addresses.
func supportMachine(context.Context, *supportCommand, *streams, *config.Config) ([]byte, error) {
	var b bytes.Buffer
	for _, path := range []string{"/etc/os-release", "/proc/version", "/proc/meminfo", "/proc/loadavg", "/proc/pressure/memory", "/proc/device-tree/model"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fmt.Fprintf(&b, "== %s\n%s\n", path, bytes.TrimRight(data, "\x00\n"))
	}
	m := machine()
	fmt.Fprintf(&b, "== cores\n%s, %d allowed\n", m.Model, len(m.Allowed))
	return b.Bytes(), nil
}

func supportDoctor(ctx context.Context, _ *supportCommand, _ *streams, settings *config.Config) ([]byte, error) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, look := range looks() {
		f := look(ctx, settings)
		f.write(w)
	}
	err := w.Flush()
	return b.Bytes(), err
}

func supportConfig(_ context.Context, c *supportCommand, _ *streams, _ *config.Config) ([]byte, error) {
	return os.ReadFile(c.Config)
}

// supportMetrics asks the daemon that runs, if it shows metrics.
func supportMetrics(ctx context.Context, _ *supportCommand, _ *streams, settings *config.Config) ([]byte, error) {
	if settings.Metrics.Listen == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, metricsPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+settings.Metrics.Listen+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxSupportMetrics))
	return data, errors.Join(err, answer.Body.Close())
}

// supportJournal counts the records of the journal: kinds, bytes, ages and damage.
func supportJournal(_ context.Context, _ *supportCommand, _ *streams, settings *config.Config) ([]byte, error) {
	folder := journalFolderOf(settings)
	if folder == "" {
		return nil, nil
	}
	disk, err := journal.ReadDisk(filepath.Join(folder, settings.Device))
	if err != nil {
		return nil, err
	}
	records, size, damage := map[string]int{}, 0, 0
	var first, last time.Time
	err = ledger.Inspect(disk, func(l ledger.Line) error {
		records[l.Kind]++
		size += l.Bytes
		if !l.At.IsZero() {
			if first.IsZero() || l.At.Before(first) {
				first = l.At
			}
			if l.At.After(last) {
				last = l.At
			}
		}
		return nil
	}, func(journal.Damage) { damage++ })
	return fmt.Appendf(nil, "records %v\n%d bytes of requests and answers\nfrom %v to %v\n%d damaged places\n", records, size, first, last, damage), err
}

// journalFolderOf is where the journals of a configuration are; "" is nowhere.
func journalFolderOf(settings *config.Config) string {
	switch {
	case !settings.Journal.Enabled:
		return ""
	case settings.Journal.Dir != "":
		return settings.Journal.Dir
	}
	if state := stateFolder(); state != "" {
		return filepath.Join(state, "journal")
	}
	return ""
}

// supportLog is the end of the log. The daemon writes no text of prompts and answers into it.
func supportLog(_ context.Context, c *supportCommand, s *streams, _ *config.Config) ([]byte, error) {
	in := s.in
	switch c.Log {
	case "":
		return nil, nil
	case "-":
	default:
		f, err := os.Open(c.Log)
		if err != nil {
			return nil, err
		}
		defer f.Close() // only read
		in = f
	}
	data, err := io.ReadAll(in)
	if len(data) > maxSupportLog {
		data = data[len(data)-maxSupportLog:]
	}
	return data, err
}
