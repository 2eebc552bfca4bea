package value

import "math/big"

// Method is a method of a value, bound to it.
type Method struct {
	Recv Value
	Name string
}

// TypeName implements Value.
func (*Method) TypeName() string { return "builtin_function_or_method" }

// String is the repr, without the address that Python prints.
func (f *Method) String() string {
	return "<built-in method " + f.Name + " of " + f.Recv.TypeName() + " object>"
}

// Call implements Callable.
func (f *Method) Call(m *Meter, a Args) (Value, error) {
	return methods(f.Recv)[f.Name](m, f.Recv, a)
}

type methodFunc func(m *Meter, recv Value, a Args) (Value, error)

// methods gives the methods of a value's type.
func methods(v Value) map[string]methodFunc {
	switch v.(type) {
	case Str:
		return strMethods
	case *List:
		return listMethods
	case *Dict:
		return dictMethods
	case *Tuple, *Range:
		return sequenceMethods
	case *View:
		return nil
	case Int, *Big, Bool, Float:
		return numberMethods
	}
	return nil
}

// Attr is getattr(v, name): a method or a field. ok is false if there is none.
func Attr(v Value, name string) (Value, bool, error) {
	if _, ok := methods(v)[name]; ok {
		return &Method{v, name}, true, nil
	}
	return field(v, name)
}

// field is Attr without the methods.
func field(v Value, name string) (Value, bool, error) {
	switch v := v.(type) {
	case *Undefined:
		return nil, false, v.Fail()
	case *Tuple:
		for i, field := range v.Names {
			if field == name {
				return v.Items[i], true, nil
			}
		}
	case *Range:
		if f, ok := map[string]int64{"start": v.Start, "stop": v.Stop, "step": v.Step}[name]; ok {
			return Int(f), true, nil
		}
	case Object:
		return v.Attr(name)
	}
	return nil, false, nil
}

// Fix forbids templates to change a list or dict, whatever the dialect: several renders may share it.
func Fix(v Value) Value {
	switch v := v.(type) {
	case *List:
		v.fixed = true
	case *Dict:
		v.fixed = true
	}
	return v
}

// IsFixed tells whether v may not be changed.
func IsFixed(v Value) bool {
	switch v := v.(type) {
	case *List:
		return v.fixed
	case *Dict:
		return v.fixed
	}
	return false
}

// Mutates tells whether the method changes v: the immutable sandbox of Jinja refuses these.
func Mutates(v Value, name string) bool {
	switch v.(type) {
	case *List:
		switch name {
		case "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove":
			return true
		}
	case *Dict:
		switch name {
		case "clear", "pop", "popitem", "setdefault", "update":
			return true
		}
	}
	return false
}

var numberMethods = map[string]methodFunc{
	"bit_length": func(_ *Meter, v Value, a Args) (Value, error) {
		n, ok := ToBig(v)
		if _, err := a.Bind("bit_length"); err != nil || !ok {
			return nil, TypeErrorf("bit_length() takes no arguments and needs an int")
		}
		return Int(n.BitLen()), nil
	},
	"is_integer": func(_ *Meter, v Value, a Args) (Value, error) {
		f, ok := v.(Float)
		if _, err := a.Bind("is_integer"); err != nil || !ok {
			return nil, TypeErrorf("is_integer() takes no arguments and needs a float")
		}
		return Bool(new(big.Float).SetFloat64(float64(f)).IsInt()), nil
	},
}

var sequenceMethods = map[string]methodFunc{"index": sequenceIndex, "count": sequenceCount}

func sequenceIndex(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("index", "/value!", "/start", "/stop")
	if err != nil {
		return nil, err
	}
	items, err := Collect(m, v)
	if err != nil {
		return nil, err
	}
	b, err := sliceBounds(len(items), args[1], args[2], nil)
	if err != nil {
		return nil, err
	}
	for i := b.from; i < b.from+b.count; i++ {
		if same, err := Equal(m, items[i], args[0]); err != nil || same {
			return Int(i), err
		}
	}
	return nil, ValueErrorf("%s is not in %s", shortRepr(args[0]), v.TypeName())
}

func sequenceCount(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("count", "/value!")
	if err != nil {
		return nil, err
	}
	it, err := Iterate(m, v)
	if err != nil {
		return nil, err
	}
	n := 0
	for {
		item, ok, err := it.Next(m)
		if err != nil || !ok {
			return Int(n), err
		}
		same, err := Equal(m, item, args[0])
		if err != nil {
			return nil, err
		}
		if same {
			n++
		}
	}
}

var listMethods = map[string]methodFunc{
	"index": sequenceIndex, "count": sequenceCount,
	"append":  listAppend,
	"extend":  listExtend,
	"insert":  listInsert,
	"pop":     listPop,
	"remove":  listRemove,
	"reverse": listReverse,
	"sort":    listSort,
	"clear": func(_ *Meter, v Value, a Args) (Value, error) {
		_, err := a.Bind("clear")
		if err == nil {
			v.(*List).Items = nil
		}
		return None{}, err
	},
	"copy": func(m *Meter, v Value, a Args) (Value, error) {
		if _, err := a.Bind("copy"); err != nil {
			return nil, err
		}
		items, err := Collect(m, v)
		return &List{Items: items}, err
	},
}

func listAppend(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("append", "/object!")
	if err != nil {
		return nil, err
	}
	l := v.(*List)
	l.Items = append(l.Items, args[0])
	return None{}, m.Elements(2)
}

func listExtend(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("extend", "/iterable!")
	if err != nil {
		return nil, err
	}
	items, err := Collect(m, args[0])
	if err != nil {
		return nil, err
	}
	l := v.(*List)
	l.Items = append(l.Items, items...)
	return None{}, m.Elements(len(items))
}

func listInsert(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("insert", "/index!", "/object!")
	if err != nil {
		return nil, err
	}
	i, err := IntArg(args[0], 0)
	if err != nil {
		return nil, err
	}
	l := v.(*List)
	if i < 0 {
		i += len(l.Items)
	}
	i = min(max(i, 0), len(l.Items))
	if err := m.Step(len(l.Items) - i); err != nil {
		return nil, err
	}
	l.Items = append(l.Items, nil)
	copy(l.Items[i+1:], l.Items[i:])
	l.Items[i] = args[1]
	return None{}, m.Elements(2)
}

func listPop(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("pop", "/index")
	if err != nil {
		return nil, err
	}
	i, err := IntArg(args[0], -1)
	if err != nil {
		return nil, err
	}
	l := v.(*List)
	n := len(l.Items)
	if n == 0 {
		return nil, &Error{"IndexError", "pop from empty list"}
	}
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil, &Error{"IndexError", "pop index out of range"}
	}
	item := l.Items[i]
	l.Items = append(l.Items[:i], l.Items[i+1:]...)
	return item, m.Step(n - i)
}

func listRemove(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("remove", "/value!")
	if err != nil {
		return nil, err
	}
	l := v.(*List)
	for i, item := range l.Items {
		same, err := Equal(m, item, args[0])
		if err != nil {
			return nil, err
		}
		if same {
			l.Items = append(l.Items[:i], l.Items[i+1:]...)
			return None{}, m.Step(len(l.Items))
		}
	}
	return nil, ValueErrorf("list.remove(x): x not in list")
}

func listReverse(m *Meter, v Value, a Args) (Value, error) {
	if _, err := a.Bind("reverse"); err != nil {
		return nil, err
	}
	items := v.(*List).Items
	for i, j := 0, len(items)-1; i < j; i, j = i+1, j-1 {
		items[i], items[j] = items[j], items[i]
	}
	return None{}, m.Step(len(items))
}

func listSort(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("sort", "key", "reverse")
	if err != nil {
		return nil, err
	}
	var key func(Value) (Value, error)
	if f, ok := args[0].(Callable); ok {
		key = func(v Value) (Value, error) { return f.Call(m, Args{Pos: []Value{v}}) }
	}
	l := v.(*List)
	return None{}, Sort(m, l.Items, key, args[1] != nil && Truth(args[1]))
}

var dictMethods = map[string]methodFunc{
	"get":        dictGet,
	"keys":       dictView("keys"),
	"values":     dictView("values"),
	"items":      dictView("items"),
	"copy":       dictCopy,
	"update":     dictUpdate,
	"pop":        dictPop,
	"popitem":    dictPopItem,
	"setdefault": dictSetDefault,
	"clear": func(_ *Meter, v Value, a Args) (Value, error) {
		_, err := a.Bind("clear")
		if err == nil {
			*v.(*Dict) = *NewDict()
		}
		return None{}, err
	},
}

func dictGet(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("get", "/key!", "/default")
	if err != nil {
		return nil, err
	}
	item, ok, err := v.(*Dict).Get(m, args[0])
	if err != nil || ok {
		return item, err
	}
	if args[1] != nil {
		return args[1], nil
	}
	return None{}, nil
}

func dictView(kind string) methodFunc {
	return func(_ *Meter, v Value, a Args) (Value, error) {
		_, err := a.Bind(kind)
		return &View{v.(*Dict), kind}, err
	}
}

func dictCopy(m *Meter, v Value, a Args) (Value, error) {
	if _, err := a.Bind("copy"); err != nil {
		return nil, err
	}
	d := v.(*Dict)
	if err := m.Elements(2 * d.Len()); err != nil {
		return nil, err
	}
	return d.Copy(), nil
}

func dictUpdate(m *Meter, v Value, a Args) (Value, error) {
	other, err := MakeDict(m, a)
	if err != nil {
		return nil, err
	}
	return None{}, v.(*Dict).Update(m, other)
}

func dictPop(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("pop", "/key!", "/default")
	if err != nil {
		return nil, err
	}
	item, ok, err := v.(*Dict).remove(m, args[0])
	if err != nil || ok {
		return item, err
	}
	if args[1] != nil {
		return args[1], nil
	}
	return nil, &Error{"KeyError", shortRepr(args[0])}
}

func dictPopItem(m *Meter, v Value, a Args) (Value, error) {
	if _, err := a.Bind("popitem"); err != nil {
		return nil, err
	}
	d := v.(*Dict)
	for i := len(d.keys) - 1; i >= 0; i-- {
		if k := d.keys[i]; k != nil {
			item, _, err := d.remove(m, k)
			d.keys, d.values, d.deleted = d.keys[:i], d.values[:i], d.deleted-(len(d.keys)-i)
			return &Tuple{Items: []Value{k, item}}, err
		}
	}
	return nil, &Error{"KeyError", "'popitem(): dictionary is empty'"}
}

func dictSetDefault(m *Meter, v Value, a Args) (Value, error) {
	args, err := a.Bind("setdefault", "/key!", "/default")
	if err != nil {
		return nil, err
	}
	d := v.(*Dict)
	item, ok, err := d.Get(m, args[0])
	if err != nil || ok {
		return item, err
	}
	item = args[1]
	if item == nil {
		item = None{}
	}
	return item, d.Set(m, args[0], item)
}
