// Package value has the values that a chat template computes with, and Python's operations on them: arithmetic,
// comparison, iteration, subscripts, str and repr, methods, formatting and JSON.
//
// Strings carry marks: for each byte they know whether it came from the conversation (untrusted) or from the template
// and the operator (trusted). Every operation keeps the marks; comparisons ignore them.
//
// Every operation that can take long or grow takes a *Meter and fails with a *LimitError beyond it. Nothing here uses
// reflection, and nothing reaches outside the values. Facts: the Python 3.11 reference ("Built-in Types"), Jinja 3.1
// (Undefined, Namespace, the sandbox), MarkupSafe 3.0 (escaped strings).
package value
