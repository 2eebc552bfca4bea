package store

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"siskin/model"
	"siskin/model/gguf"
	"siskin/model/kernel"
	"siskin/model/quant"
)

// Info is what a model file says of itself. Numbers that the file does not give are 0, texts empty.
type Info struct {
	Path         string   `json:"path"`
	Size         int64    `json:"size"` // bytes
	SHA256       string   `json:"sha256,omitempty"`
	GGUFVersion  uint32   `json:"gguf_version"`
	Architecture string   `json:"architecture"`
	Name         string   `json:"name,omitempty"`
	License      string   `json:"license,omitempty"`
	Parameters   int64    `json:"parameters"` // values in all tensors
	Tensors      int      `json:"tensors"`
	Formats      []Format `json:"formats"` // largest share first

	ContextLength int64 `json:"context_length"` // tokens
	Embedding     int64 `json:"embedding"`
	Layers        int64 `json:"layers"`
	Heads         int64 `json:"heads"`    // of the layer with most
	KVHeads       int64 `json:"kv_heads"` // likewise; Heads if the file does not say
	FeedForward   int64 `json:"feed_forward"`
	VocabSize     int64 `json:"vocab_size"`

	Tokenizer    string `json:"tokenizer,omitempty"`     // tokenizer.ggml.model
	TokenizerPre string `json:"tokenizer_pre,omitempty"` // tokenizer.ggml.pre
	ChatTemplate bool   `json:"chat_template"`

	Packed []PackedInfo `json:"packed,omitempty"` // files beside it that hold its matrices for faster kernels

	Parts     int    `json:"parts,omitempty"`   // files of a split model; all else is of all of them
	Encoder   bool   `json:"encoder,omitempty"` // it makes embeddings, not answers
	Supported bool   `json:"supported"`         // architecture and formats can be run by this version
	Reason    string `json:"reason,omitempty"`  // why not
}

// Format is one number format and its part of a file.
type Format struct {
	Type    string  `json:"type"`
	Tensors int     `json:"tensors"`
	Bytes   int64   `json:"bytes"`
	Share   float64 `json:"share"` // of the bytes of all tensors, 0 to 1
}

// Inspect reads the directory of a model file and checks, as the daemon does on opening it, whether this version can run it.
// It reads no weights but the small norms, so it is quick for any size. Errors are of kind ErrNotModel, or of the system; that
// a model is not supported is no error.
func Inspect(path string) (Info, error) {
	info := Info{Path: path}
	stat, err := os.Stat(path)
	if err == nil {
		info.Size = stat.Size()
	}
	err = withModel(path, func(data []byte, f *gguf.File) error {
		if part, split, err := f.Part(); split || err != nil {
			info.fillSplit(path, f, part, err)
			return nil
		}
		odd := info.fill(f)
		why, encoder := unsupported(data, f)
		info.Reason, info.Encoder = cmp.Or(why, odd), encoder
		info.Supported = info.Reason == ""
		return nil
	})
	if err != nil {
		return Info{}, err
	}
	info.SHA256 = recordedSum(path)
	info.Packed = packedOf(path)
	return info, nil
}

// fillSplit is fill for all parts of a split model, of which the one at path is one.
func (i *Info) fillSplit(path string, f *gguf.File, part gguf.Part, err error) {
	i.Parts = part.Count
	var m *model.Model
	if err == nil {
		m, err = model.Open(path)
	}
	if err != nil {
		i.fill(f)
		i.Reason = oneLine(err)
		return
	}
	defer m.Close() // read-only
	odd := i.fill(m.File())
	i.Size, i.Encoder = m.FileBytes(), m.Config.Encoder
	i.Reason = cmp.Or(oneLine(m.Check(kernel.Generic())), odd)
	i.Supported = i.Reason == ""
}

// fill takes what is for people from the metadata, and tells which keys of it are of a wrong kind.
func (i *Info) fill(f *gguf.File) (odd string) {
	r := f.Reader()
	i.GGUFVersion = f.Version
	i.Architecture, _ = r.Str("general.architecture")
	i.Name, _ = r.Str("general.name")
	i.License, _ = r.Str("general.license")
	i.Tokenizer, _ = r.Str("tokenizer.ggml.model")
	i.TokenizerPre, _ = r.Str("tokenizer.ggml.pre")
	_, i.ChatTemplate = r.Str("tokenizer.chat_template")
	largest := func(key string) int64 {
		var m int64
		a, _ := r.IntsOrInt(i.Architecture + "." + key)
		for _, v := range a.All() {
			m = max(m, v)
		}
		return m
	}
	i.ContextLength = largest("context_length")
	i.Embedding = largest("embedding_length")
	i.Layers = largest("block_count")
	i.Heads = largest("attention.head_count")
	i.KVHeads = largest("attention.head_count_kv")
	if i.KVHeads == 0 {
		i.KVHeads = i.Heads
	}
	i.FeedForward = largest("feed_forward_length")
	i.VocabSize = vocabSize(f, largest)
	i.count(f)
	return oneLine(r.Err())
}

// vocabSize takes the first of what may tell it.
func vocabSize(f *gguf.File, largest func(string) int64) int64 {
	if tokens, ok := f.Strings("tokenizer.ggml.tokens"); ok {
		return int64(tokens.Len())
	}
	if n := largest("vocab_size"); n > 0 {
		return n
	}
	if t, ok := f.Tensor("token_embd.weight"); ok {
		return int64(t.Rows())
	}
	return 0
}

// count adds up the tensors.
func (i *Info) count(f *gguf.File) {
	byType := make(map[quant.Type]*Format)
	var total int64
	for _, t := range f.Tensors() {
		e := byType[t.Type]
		if e == nil {
			e = &Format{Type: t.Type.String()}
			byType[t.Type] = e
		}
		e.Tensors++
		e.Bytes += int64(len(t.Data))
		total += int64(len(t.Data))
		i.Parameters += int64(t.Elements())
	}
	i.Tensors = len(f.Tensors())
	i.Formats = make([]Format, 0, len(byType))
	for _, e := range byType {
		e.Share = float64(e.Bytes) / float64(total)
		i.Formats = append(i.Formats, *e)
	}
	slices.SortFunc(i.Formats, func(a, b Format) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Type, b.Type))
	})
}

// unsupported says why the file in data cannot be run; empty if it can.
func unsupported(data []byte, f *gguf.File) (why string, encoder bool) {
	if kind, _ := f.Str("general.type"); kind == "adapter" {
		return "it is an adapter: siskin adapter add makes it one that requests can name", false
	} else if kind != "" && kind != "model" {
		return fmt.Sprintf("it is of the type %q, not a model", clip(kind)), false
	}
	if len(f.Tensors()) == 0 {
		return "it has no weights, only a vocabulary", false
	}
	m, err := model.Parse(data)
	if err != nil {
		return oneLine(err), false
	}
	return oneLine(m.Check(kernel.Generic())), m.Config.Encoder
}

// oneLine is the text of an error that may join several; empty for nil. The names of the model's kinds of error, which say
// nothing more, are left out.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	for _, kind := range []error{model.ErrUnsupported, model.ErrBadModel} {
		text = strings.ReplaceAll(text, ": "+kind.Error(), "")
	}
	return text
}

// Entry is one file of the folder.
type Entry struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"` // bytes on disk
	Modified time.Time `json:"modified"`
	Total    int64     `json:"total,omitempty"` // of an unfinished file: bytes it will have, -1 unknown
	Info     *Info     `json:"info,omitempty"`  // nil if unfinished or not readable
	Error    string    `json:"error,omitempty"` // why it is not readable
}

// follows reports whether the file is part of a split model, and not the first one, which lies beside it.
func follows(path string) bool {
	paths := gguf.PartPaths(path)
	if paths == nil || paths[0] == path {
		return false
	}
	_, err := os.Stat(paths[0])
	return err == nil
}

// List tells the model files of a folder in order of name, a split model once, and after them what is unfinished. Folders inside
// are not looked into. A folder that does not exist has no files.
func List(dir string) ([]Entry, error) {
	items, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, systemError(dir, "cannot be listed", err)
	}
	var files, unfinished []Entry
	for _, item := range items {
		path := filepath.Join(dir, item.Name())
		name, isPart := strings.CutSuffix(item.Name(), ".part")
		info, err := os.Stat(path) // through links, which people use in such folders
		if err != nil || !info.Mode().IsRegular() || !strings.EqualFold(filepath.Ext(name), ".gguf") {
			continue
		}
		if !isPart && follows(path) {
			continue
		}
		e := Entry{Name: name, Size: info.Size(), Modified: info.ModTime()}
		if isPart {
			e.Total = partTotal(path)
			unfinished = append(unfinished, e)
			continue
		}
		if info, err := Inspect(path); err == nil {
			e.Info = &info
			e.Size = max(e.Size, info.Size)
		} else {
			e.Error = strings.TrimPrefix(err.Error(), path+": ")
		}
		files = append(files, e)
	}
	return append(files, unfinished...), nil
}
