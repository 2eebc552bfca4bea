package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"siskin/model/gguf"
	"siskin/model/mapfile"
)

// finish checks a complete .part and puts it in place. Wrong contents are thrown away; a cancelled check is not.
func (p *pull) finish(ctx context.Context) error {
	if err := p.part.sync(); err != nil {
		return err
	}
	sum, err := hashFile(ctx, p.part.content())
	if err != nil {
		return err
	}
	for _, want := range []string{p.src.sum, p.part.origin.SHA256} {
		if want != "" && want != sum {
			p.part.discard()
			return &Error{p.src.text, fmt.Sprintf("arrived with the SHA-256 %s instead of %s and was thrown away: pull again, or doubt the source", sum, want), ErrSum}
		}
	}
	if err := validate(p.part.content()); err != nil {
		p.part.discard()
		var e *Error
		if errors.As(err, &e) {
			e.Subject = p.src.text
		}
		return err
	}
	if err := p.sameAs(ctx, sum); err != nil {
		// Something took the name meanwhile. If it is this very file, all is done.
		p.part.discard()
		if errors.Is(err, errPresent) {
			return nil
		}
		return err
	}
	return inFolder(p.opt.Dir, func() error {
		if err := p.part.install(p.dst); err != nil {
			return err
		}
		if err := recordSum(p.dst, sum); err != nil {
			return err
		}
		return removeStale(p.dst)
	})
}

// validate parses the file as a model file. The kind of error is ErrNotModel.
func validate(path string) error {
	return withModel(path, func([]byte, *gguf.File) error { return nil })
}

// withModel maps and parses a model file for use, which gets its bytes too.
func withModel(path string, use func([]byte, *gguf.File) error) error {
	return withBytes(path, func(data []byte) error {
		model, err := gguf.Parse(data)
		if err != nil {
			return &Error{path, err.Error(), errors.Join(ErrNotModel, err)}
		}
		return use(data, model)
	})
}

// withBytes maps a file for use. A file that another process cuts meanwhile gives an error, where the fault would otherwise
// end this process.
func withBytes(path string, use func([]byte) error) (err error) {
	f, err := mapfile.Open(path)
	if err != nil {
		return &Error{path, strings.TrimPrefix(err.Error(), path+" "), errors.Join(ErrNotModel, err)}
	}
	defer f.Close() // read-only
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if _, ok := fault.(interface{ Addr() uintptr }); !ok {
			panic(fault)
		}
		err = &Error{path, "became shorter, or unreadable, while it was read: get it again", ErrNotModel}
	}()
	return use(f.Bytes())
}

// hashFile computes the SHA-256 of a file, in lower-case hexadecimal.
func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", systemError(path, "cannot be read", err)
	}
	defer f.Close() // read-only
	h := sha256.New()
	for {
		if ctx.Err() != nil {
			return "", &Error{path, "was not checked: " + context.Cause(ctx).Error(), ctx.Err()}
		}
		_, err := io.CopyN(h, f, 4<<20)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", systemError(path, "cannot be read", err)
		}
	}
}

func sumPath(path string) string { return path + ".sha256" }

// recordSum writes the sum beside the file, in the format of sha256sum. The folder must be locked, so that the sum is that of
// the file that has the name now.
func recordSum(path, sum string) error {
	if recordedSum(path) == sum {
		return nil
	}
	return writeAtomic(sumPath(path), []byte(sum+"  "+filepath.Base(path)+"\n"))
}

// recordedSum is the sum recorded for a file; empty if there is none, or if it is older than the file.
func recordedSum(path string) string {
	side, err := os.Stat(sumPath(path))
	if err != nil || side.Size() > 4096 {
		return ""
	}
	file, err := os.Stat(path)
	if err != nil || side.ModTime().Before(file.ModTime()) {
		return ""
	}
	text, err := os.ReadFile(sumPath(path))
	if err != nil {
		return ""
	}
	sum, _, _ := strings.Cut(string(text), " ")
	if sum = strings.ToLower(strings.TrimSpace(sum)); !isSum(sum) {
		return ""
	}
	return sum
}

// fetchLocal gives a file of this machine a second name in the folder, or copies it where that is not possible.
func (p *pull) fetchLocal(ctx context.Context) error {
	info, err := os.Stat(p.src.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Error{p.src.text, "does not exist: give the path of a file, https://… or hf:OWNER/REPO/FILE.gguf", errors.Join(ErrNotFound, err)}
	case err != nil:
		return systemError(p.src.text, "cannot be read", err)
	}
	if err := validate(p.src.path); err != nil {
		return err
	}
	// What an interrupted download left is of no use now.
	if err := p.part.reset(origin{Size: info.Size()}); err != nil {
		return err
	}
	if p.opt.Copy {
		return p.copyLocal(ctx, info.Size())
	}
	if err := p.part.link(p.src.path); err != nil {
		p.opt.Notice(fmt.Sprintf("%s is copied, since it cannot be linked (%v)", p.src.text, cause(err)))
		return p.copyLocal(ctx, info.Size())
	}
	p.opt.Notice(fmt.Sprintf("%s is linked, not copied: both names are one file, so replace it, but do not write into it", p.src.text))
	p.report(info.Size(), info.Size(), true)
	return nil
}

// copyLocal copies total bytes into the .part. On file systems that share blocks between files (btrfs, XFS) it takes no
// space. An interrupted copy begins anew.
func (p *pull) copyLocal(ctx context.Context, total int64) error {
	if err := checkSpace(p.opt.Dir, total, p.opt.Margin); err != nil {
		return err
	}
	f, err := os.Open(p.src.path)
	if err != nil {
		return systemError(p.src.text, "cannot be read", err)
	}
	defer f.Close() // read-only
	for p.part.done < total {
		if ctx.Err() != nil {
			p.part.discard()
			return &Error{p.src.text, "was not copied: " + context.Cause(ctx).Error(), ctx.Err()}
		}
		p.report(p.part.done, total, false)
		// File to file, so that the kernel copies or shares the blocks.
		n, err := io.CopyN(p.part.f, f, min(syncEvery, total-p.part.done))
		p.part.done += n
		if errors.Is(err, io.EOF) {
			p.part.discard()
			return &Error{p.src.text, "became shorter while it was copied: pull it again when it is complete", ErrLength}
		}
		if err != nil {
			p.part.discard()
			return systemError(p.part.path, "cannot be written", err)
		}
	}
	p.report(total, total, true)
	return nil
}
