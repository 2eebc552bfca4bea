// Package jinja renders chat templates: the Jinja 3.1 language as Hugging Face runs it (trim_blocks, lstrip_blocks, loop
// controls, an immutable sandbox, tojson without ASCII or HTML escaping).
//
// Strings keep marks that tell text of the conversation from text of the template (package value), so that the caller can
// keep the first from becoming control tokens. A render has limits for steps, memory, output and recursion; a hostile
// template ends in a *value.LimitError. There is no access to files, the environment, the clock or Go values.
//
// The definition of right is Jinja 3.1.6 on Python 3.11; testdata/vectors.json holds what it computes for some hundred
// templates, and testdata/vectors.py makes that file.
package jinja
