package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Name is what people call a model: the name of its file, without the folder and ".gguf".
func Name(path string) string {
	name := filepath.Base(path)
	if ending := filepath.Ext(name); strings.EqualFold(ending, ".gguf") {
		name = strings.TrimSuffix(name, ending)
	}
	return name
}

// Answering returns the names of the models in a folder that this version can answer with, sorted. A folder that does not exist has
// none.
func Answering(dir string) ([]string, error) {
	entries, err := List(dir)
	var names []string
	for _, e := range entries {
		if e.Info != nil && e.Info.Supported && !e.Info.Encoder {
			names = append(names, Name(e.Name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// Find returns the path of the model of a name in a folder; the error is of kind ErrNotFound if there is none.
func Find(dir, name string) (string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", systemError(dir, "cannot be listed", err)
	}
	for _, f := range files {
		if path := filepath.Join(dir, f.Name()); Name(path) == name && f.Name() != name && !follows(path) {
			return path, nil
		}
	}
	return "", &Error{name, "is no model in " + dir + "; siskin model list shows what is there", ErrNotFound}
}

// InspectAnswering is Inspect for a model that is to answer: the error is of kind ErrNotModel if it cannot.
func InspectAnswering(path string) (Info, error) {
	info, err := Inspect(path)
	switch {
	case err != nil:
		return info, err
	case !info.Supported:
		return info, &Error{path, "will not run: " + info.Reason, ErrNotModel}
	case info.Encoder:
		return info, &Error{path, "is an encoder: it makes embeddings (siskin embed), not answers", ErrNotModel}
	}
	return info, nil
}
