// Package store keeps the folder of model files: it fetches one from a model hub, an https address or a path, lists them,
// and tells what is in one.
//
// A file appears under its name only when it is complete: it is fetched into <name>.part, its SHA-256 is compared with the
// expected one if there is one, it is parsed as a model file, synced, and then renamed. The sum is recorded in
// <name>.sha256, in the format of sha256sum. What is known of an unfinished file lies in <name>.part.json, with the number
// of bytes that are surely on disk, so that an interruption of any kind, a power cut too, costs at most the last 32 MiB.
//
// Packed files (model/pack) lie beside their model as <name>.packed-<unit>-<layout>. They are made by Pack, used by
// UsePacked, and go when their model is replaced.
//
// It never changes a file in place, since the daemon may have it mapped, and never writes outside the folder.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Kinds of failure; test with errors.Is. A cancelled Pull is context.Canceled or context.DeadlineExceeded.
var (
	// ErrSource: the source is not understood, or not allowed.
	ErrSource = errors.New("bad source")
	// ErrName: the file name is not fit for the folder.
	ErrName = errors.New("bad file name")
	// ErrExists: another file has the name already.
	ErrExists = errors.New("file exists")
	// ErrBusy: another Pull of this name is running.
	ErrBusy = errors.New("already being pulled")
	// ErrNoSpace: the disk is too full.
	ErrNoSpace = errors.New("not enough disk space")
	// ErrNotFound: the source does not have the file.
	ErrNotFound = errors.New("not found")
	// ErrForbidden: the source wants a login or an agreement to a licence.
	ErrForbidden = errors.New("forbidden")
	// ErrServer: the server could not be reached, or answered with nothing of use, in all tries.
	ErrServer = errors.New("server failed")
	// ErrLength: more or fewer bytes than announced.
	ErrLength = errors.New("wrong length")
	// ErrSum: the SHA-256 is not the expected one.
	ErrSum = errors.New("wrong SHA-256")
	// ErrNotModel: the file is no model file, or a damaged one.
	ErrNotModel = errors.New("not a model file")
	// ErrNoPacking: the kernels gain nothing by packing this model, so there is nothing to make or to use.
	ErrNoPacking = errors.New("packing does not pay")
)

// Error is a failure with one source or file: a sentence for a person, and its kind for errors.Is.
type Error struct {
	Subject string // source or file
	What    string
	Err     error // one of the sentinels, or what the system said
}

// Error is "subject: what".
func (e *Error) Error() string { return e.Subject + ": " + e.What }

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Err }

// Options of Pull. The zero value of all but Dir is useful.
type Options struct {
	Dir      string                  // the folder of models; made if absent
	Name     string                  // file name in Dir, ending in .gguf; empty: the last part of the source
	SHA256   string                  // expected sum, 64 hexadecimal digits; empty: as the source says, else unchecked
	Copy     bool                    // copy a PATH even where a link is possible
	Replace  bool                    // rename over an existing file of this name instead of failing with ErrExists
	Progress func(done, total int64) // bytes; total is -1 while unknown; called by Pull's goroutine about 10 times a second
	Notice   func(text string)       // what a person may want to know: linked or copied, another try, begun anew; likewise

	HubURL    string            // base address for hf: sources; empty: https://huggingface.co
	Token     string            // sent to the hub as bearer token, for private and gated models; never sent elsewhere
	Transport http.RoundTripper // nil: like http.DefaultTransport

	Margin       int64         // bytes that must stay free on the disk; 0: 64 MiB
	StallTimeout time.Duration // give up a connection that brought no byte for so long; 0: 60 s
	Tries        int           // tries in a row that bring less than 64 KiB each; 0: 8
	RetryWait    time.Duration // wait after the first failed try, doubled each time up to 30 s; 0: 1 s
	MaxWait      time.Duration // longest wait that a server may ask for (Retry-After); 0: 2 min
}

// Defaults of Options and fixed sizes.
const (
	defaultHub    = "https://huggingface.co"
	defaultMargin = 64 << 20
	maxRetryWait  = 30 * time.Second
	syncEvery     = 32 << 20 // bytes between two syncs of an unfinished file
	usefulTry     = 64 << 10 // bytes that make a try count as a success
	maxRestarts   = 3        // times a file may be begun anew because it changed at the source
)

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.StallTimeout, time.Minute)
	def(&o.RetryWait, time.Second)
	def(&o.MaxWait, 2*time.Minute)
	if o.HubURL == "" {
		o.HubURL = defaultHub
	}
	if o.Margin <= 0 {
		o.Margin = defaultMargin
	}
	if o.Tries <= 0 {
		o.Tries = 8
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	return o
}

// Pull brings a model file into opt.Dir and returns its path there. source is one of
//
//	hf:OWNER/REPO/FILE.gguf   the file in the main branch of a repository of the hub
//	https://HOST/…/FILE.gguf  http:// only to this machine
//	PATH                      a file, which gets a second name (hard link) on the same file system, and is copied from another
//
// each with an optional #sha256=HEX. A linked file must not be written into, as no model file must; Notice says so. If the file is there already with the same sum, Pull only returns its path. An
// interrupted download goes on where it stopped, in this call or the next, provided the source still has the same file.
// Every failure is an *Error with one of the kinds above, or of the system.
func Pull(ctx context.Context, source string, opt Options) (string, error) {
	opt = opt.withDefaults()
	src, err := parseSource(source, opt)
	if err != nil {
		return "", err
	}
	if opt.Dir == "" {
		return "", &Error{source, "has nowhere to go: the folder of models is not set", ErrSource}
	}
	if err := os.MkdirAll(opt.Dir, 0o755); err != nil {
		return "", systemError(opt.Dir, "cannot be made", err)
	}
	p := &pull{opt: opt, src: src, dst: filepath.Join(opt.Dir, src.name)}
	if there, err := p.present(ctx); err != nil {
		return "", err
	} else if there {
		return p.dst, nil
	}
	p.part, err = openPart(p.dst)
	if err != nil {
		return "", err
	}
	defer p.part.close()
	// Again, under the lock: another pull may have finished just now.
	there, err := p.present(ctx)
	if err != nil {
		return "", err
	}
	if there {
		p.part.discard()
		return p.dst, nil
	}
	if src.url == nil {
		err = p.fetchLocal(ctx)
	} else {
		err = p.download(ctx)
	}
	if errors.Is(err, errPresent) {
		p.part.discard()
		return p.dst, nil
	}
	if err == nil {
		err = p.finish(ctx)
	}
	if err != nil {
		return "", err
	}
	return p.dst, nil
}

// pull is one running Pull.
type pull struct {
	opt      Options
	src      source
	dst      string
	part     *part
	restarts int
	reported time.Time // last call of Progress
}

// errPresent ends a download whose file turns out to be there.
var errPresent = errors.New("file is there already")

// present looks for a file of this name, before anything is fetched. True if it is the wanted one; an error if it is known
// to be another. If only the source can tell, false and nil: sameAs decides later.
func (p *pull) present(ctx context.Context) (bool, error) {
	have, err := os.Stat(p.dst)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, systemError(p.dst, "cannot be looked at", err)
	case !have.Mode().IsRegular():
		return false, &Error{p.dst, "is there already and not a file: remove it or choose another name", ErrExists}
	}
	if p.src.url == nil {
		return p.presentLocal(ctx, have)
	}
	if p.opt.Replace || (p.src.sum == "" && p.src.hub) {
		return false, nil
	}
	err = p.sameAs(ctx, p.src.sum)
	return errors.Is(err, errPresent), unlessPresent(err)
}

// presentLocal is present for a path on this machine; have is the file that has the name.
func (p *pull) presentLocal(ctx context.Context, have fs.FileInfo) (bool, error) {
	info, err := os.Stat(p.src.path)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil // fetchLocal says what is wrong with it
	}
	same := os.SameFile(have, info)
	if p.opt.Replace && !same {
		return false, nil
	}
	sum, err := hashFile(ctx, p.src.path)
	if err != nil {
		return false, err
	}
	if p.src.sum != "" && p.src.sum != sum {
		return false, &Error{p.src.text, fmt.Sprintf("has the SHA-256 %s instead of %s", sum, p.src.sum), ErrSum}
	}
	if same {
		if err := validate(p.dst); err != nil {
			return false, err
		}
		err = p.record(have, sum)
	} else {
		err = p.sameAs(ctx, sum)
	}
	return errors.Is(err, errPresent), unlessPresent(err)
}

// unlessPresent drops errPresent, which is no failure.
func unlessPresent(err error) error {
	if errors.Is(err, errPresent) {
		return nil
	}
	return err
}

// record notes the sum of the file that is there and is the wanted one, and is errPresent then. have is the file whose sum it
// is: another pull may have replaced it meanwhile.
func (p *pull) record(have fs.FileInfo, sum string) error {
	if recordedSum(p.dst) == sum {
		return errPresent
	}
	err := inFolder(p.opt.Dir, func() error {
		now, err := os.Stat(p.dst)
		if err != nil || !os.SameFile(now, have) || !now.ModTime().Equal(have.ModTime()) {
			return &Error{p.dst, "changed while it was looked at: pull again", ErrBusy}
		}
		return recordSum(p.dst, sum)
	})
	if err != nil {
		return err
	}
	return errPresent
}

// sameAs is errPresent if the file that has the name already has the sum want, nil if there is no such file or it is to be
// replaced, else ErrExists.
func (p *pull) sameAs(ctx context.Context, want string) error {
	if p.opt.Replace {
		return nil
	}
	have, err := os.Stat(p.dst)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return systemError(p.dst, "cannot be looked at", err)
	}
	if want != "" {
		sum, err := hashFile(ctx, p.dst)
		if err != nil {
			return err
		}
		if sum == want {
			return p.record(have, sum)
		}
	}
	return &Error{p.dst, "is there already, and is or may be another file: use it, remove it, or choose another name", ErrExists}
}

// report calls Progress, not too often unless it must.
func (p *pull) report(done, total int64, must bool) {
	if now := time.Now(); must || now.Sub(p.reported) >= 100*time.Millisecond {
		p.reported = now
		p.opt.Progress(done, total)
	}
}

// systemError says what failed on a file, with the system's reason but not its repetition of the path. A full disk is
// ErrNoSpace.
func systemError(path, what string, err error) error {
	if isFull(err) {
		return &Error{path, what + ": the disk is full; free some space and pull again, what is there is kept", ErrNoSpace}
	}
	return &Error{path, fmt.Sprintf("%s: %v", what, cause(err)), err}
}

// cause is what the system said, without call and path.
func cause(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	return err
}
