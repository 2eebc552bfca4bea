package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// The expressions of the rules, one for each stage. Each stage cuts out its matches inside what the stages before have left.
// Sources: the pre_tokenizer part of the tokenizer.json of each family, and llama.cpp, src/llama-vocab.cpp. The contractions
// of llama3 and qwen2 are written out as in llama.cpp: (?i:…) would make the regular expression engine decide which other
// letters fold to them.
const (
	gpt2Expr     = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	contractExpr = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|`
	llama3Expr   = contractExpr + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Expr    = contractExpr + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	qwen35Expr  = contractExpr + `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	manyExpr    = contractExpr + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	barelyExpr  = `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	seedExpr    = contractExpr + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`
	bailingExpr = `'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
	exaoneExpr  = contractExpr + `[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`
	jais2Expr   = contractExpr + `[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|` +
		`\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`

	upperSet   = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
	lowerSet   = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	suffixExpr = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?`
	tekkenExpr = `[^\r\n\p{L}\p{N}]?` + upperSet + `*` + lowerSet + `+|[^\r\n\p{L}\p{N}]?` + upperSet + `+` + lowerSet + `*` +
		`|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	gpt4oExpr = `[^\r\n\p{L}\p{N}]?` + upperSet + `*` + lowerSet + `+` + suffixExpr + `|[^\r\n\p{L}\p{N}]?` + upperSet + `+` + lowerSet + `*` +
		suffixExpr + `|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	// \b behind digits, written out: engines differ in what a word is.
	groupsExpr    = `\d{1,3}(?=(?:\d{3})*(?![\p{L}\p{N}\p{M}\p{Pc}]))`
	deepseek3Expr = `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|` +
		`\s*[\r\n]+|\s+(?!\S)|\s+`
	bloomExpr = ` ?[^(\s|.,!?…。，、।۔،)]+`

	deepseekLetters = `\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373` +
		`\u0376\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-\u0556` +
		`\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A\u1E00-\u1F15` +
		`\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4\u1FB6-\u1FBC\u1FBE` +
		`\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC\u2102\u2107\u210A-\u2113` +
		`\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F\u2145-\u2149\u214E\u2183\u2184` +
		`\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E` +
		`\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A` +
		"\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2" +
		"\U000118A0-\U000118DF\U0001E900-\U0001E943]+"
)

var oracles = []struct {
	pre   string
	exprs []string
}{
	{"gpt-2", []string{gpt2Expr}},
	{"llama-bpe", []string{llama3Expr}},
	{"qwen2", []string{qwen2Expr}},
	{"smollm", []string{`\p{N}`, gpt2Expr}},
	{"glm4", []string{llama3Expr}},
	{"minicpm5", []string{`\p{N}{1,3}`, manyExpr}},
	{"qwen35", []string{qwen35Expr}},
	{"bailingmoe", []string{bailingExpr}},
	{"laguna", []string{`[^\n]+|[\n]+`, qwen2Expr}},
	{"seed-coder", []string{seedExpr}},
	{"ufakzeka", []string{barelyExpr}},
	{"exaone-moe", []string{exaoneExpr}},
	{"jais-2", []string{jais2Expr}},
	{"gpt-4o", []string{gpt4oExpr}},
	{"tiny_aya", []string{groupsExpr, gpt4oExpr}},
	{"tekken", []string{tekkenExpr}},
	{"deepseek-v3", []string{`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`, deepseek3Expr}},
	{"deepseek-coder", []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`}},
	{"bloom", []string{bloomExpr}},
	{"viking", []string{bloomExpr, `\p{N}`}},
	{"gemma4", []string{`[^\n]+|[\n]+`}},
	{"falcon", []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Expr, `[0-9][0-9][0-9]`}},
	{"default", []string{`[\p{P}\$\+<=>\^~\|]+`, gpt2Expr, `\p{N}+`, `[0-9][0-9][0-9]`}},
	{"deepseek-llm", []string{`[\r\n]`, deepseekLetters, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+$`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}+`}},
}

// cutBy cuts text by expr: matches and what is between them.
func cutBy(t testing.TB, expr *regexp2.Regexp, text string) (pieces []string) {
	t.Helper()
	found, err := expr.FindAllStringIndex(text, -1)
	if err != nil {
		t.Fatal(err)
	}
	end := 0
	for _, m := range found {
		if m[0] > end {
			pieces = append(pieces, text[end:m[0]])
		}
		pieces = append(pieces, text[m[0]:m[1]])
		end = m[1]
	}
	if end < len(text) {
		pieces = append(pieces, text[end:])
	}
	return pieces
}

// cutStages cuts text as Tokenizer.split does.
func cutStages(c *classes, stages []stage, text string) (pieces []string) {
	if len(stages) == 0 {
		return []string{text}
	}
	for text != "" {
		n := stages[0](c, []byte(text))
		pieces = append(pieces, cutStages(c, stages[1:], text[:n])...)
		text = text[n:]
	}
	return pieces
}

// compareSplits holds all rules against their expressions for each of texts.
func compareSplits(t *testing.T, texts []string) {
	c := newClasses()
	for _, o := range oracles {
		r, _, err := ruleFor(o.pre)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.stages) != len(o.exprs) {
			t.Fatalf("%s: %d stages for %d expressions", o.pre, len(r.stages), len(o.exprs))
		}
		exprs := make([]*regexp2.Regexp, len(o.exprs))
		for i, e := range o.exprs {
			exprs[i] = regexp2.MustCompile(e)
		}
		bad := 0
		for _, text := range texts {
			want := []string{text}
			for _, e := range exprs {
				var next []string
				for _, p := range want {
					next = append(next, cutBy(t, e, p)...)
				}
				want = next
			}
			if got := cutStages(c, r.stages, text); !slices.Equal(got, want) {
				t.Errorf("%s: %+q is cut into\n     %+q\nwant %+q", o.pre, text, got, want)
				if bad++; bad == 5 {
					break
				}
			}
		}
	}
}

func TestSplitAdversarial(t *testing.T) {
	compareSplits(t, []string{
		" ", "  ", "\n", "\r\n", "\t", " \n", "\n ", " \n ", "\n\n\n", "   \n   \n  x", "a\n", "a \n", "a  b", "a   ", "   a", "\u3000", "a\u3000\u3000b",
		"\u00a0x", "\u2028\u2029", "\u200bx", "\u0085\u0085a", "\v\f", "\x1c\x1dx", "\x00\x00", "\ufffd\ufffd", "\ufeffx",
		"'s", "'S", "'ſ", "'ll", "'LL", "'lL", "'l", "'", "''s", "'re're", "'RE", "'rE'Ve", "x's", "x'S y'D", " 's", " 'S", "'sx", "'Sx", "'tis", "'mm", "'d1", "'\u212a",
		"1", "12", "123", "1234", "12345678", " 1", " 123", "1 2", "½", "½¾", "٣٤٥٦", "ⅷⅫ", "1½2", "a1b2", "１２３４", "①②③④", "3.14", "1,234,567",
		"foo.bar", "foo_bar", "...", " ...", "...\n", "...\n\n x", "!?\r\n", "$x+y=<z>", "~`|^", "`a`", "\"q\"", "(x)", "--x--", " -", " - \n",
		"e\u0301", "\u0301", " \u0301a", "a\u0301b", "ह\u093fन\u094dद\u0940", "ก\u0e33", "👨\u200d👩\u200d👧", "🇩🇪🇫🇷", "😶\u200d🌫️", "é", "naïve",
		"你好，世界。", "你好 世界", "　你好", "日本語テスト", "한국어 텍스트", "ߊ", "ࠀ一", "퟿", "\ue000\U000f0000", "\U0010ffff", "ᏽᏸ", "ʔʕ", "ǀǁ", "µ", "Ω", "K", "ﬀﬆ", "𐐀𐑏", "𞤀",
		"ÄpfelÖl", "ab，c、d", "x\u3001y", " ！", "\u2019s", "‘q’", "a‛b", "\U000104b0 \U000104d4",
		"ABCdef", "abcDEF", "ABC", "HTMLParser's", "ÉCOLE", "éÉ", "aあBC", "AあBC", "ǅx", "Xǅ", "\u0301ABC", "\u0301abc", "!\u0301", "\u0301's", "DON'T", "DON'Tx", "ʰA",
		"1234567", "1234567x", "1234567_", "12 3456789.", "١٢٣٤٥", "a b c d", "a b  c", "a\u0301 b", " a b", "x /\n/", "//\r\n/a", "!abc", "@Abc1", "$\x00a", "\x00\x00a",
		"かな漢字カナ", "a(b|c", "a . b", "。x", " ، y",
		strings.Repeat(" ", 700) + "x", strings.Repeat(" ", 700), strings.Repeat(" ", 7) + "\n" + strings.Repeat(" ", 7) + "!", strings.Repeat("A", 300) + "b",
		strings.Repeat(" ", 1000) + "x", strings.Repeat("\n", 1000) + " x", strings.Repeat(" \n", 500), strings.Repeat("'s", 300), strings.Repeat("ab1", 300),
	})
}

func TestSplitRandom(t *testing.T) {
	texts := make([]string, 6000)
	if slowHere {
		texts = texts[:500]
	}
	r := rand.New(rand.NewPCG(7, 7))
	for i := range texts {
		texts[i] = randomText(r)
	}
	compareSplits(t, texts)
}

// randomText is made of what the rules treat differently.
func randomText(r *rand.Rand) string {
	const parts = " | |  |\n|\r\n|\t|\u3000|\u00a0|\u2003|\u2028|'|'s|'S|'Re|'LL|'t|'D|a|Z|the|Straße|é|e\u0301|\u0301|न\u094d|1|22|333|4567|½|٣|Ⅻ|.|,|!|…|-|$|+|`|_|()|/|A|B|ÉA|ǅ|ʰ|あ|\x00|_|1234567|，|。|你|世界|テ|한|🙂|\u200d|\ufe0f|\u200b|\x00|\ufffd|\u2581|ſ|\u212a"
	choice := strings.Split(parts, "|")
	var b strings.Builder
	for range 1 + r.IntN(12) {
		if r.IntN(4) > 0 {
			b.WriteString(choice[r.IntN(len(choice))])
		} else if c := rune(r.IntN(0x20000)); utf8.ValidRune(c) {
			b.WriteRune(c)
		}
	}
	if b.Len() == 0 {
		return " "
	}
	return b.String()
}

// TestSplitCodePoints puts code points into two contexts: all of the first plane but only some of the Han and Hangul blocks,
// and samples of the others. TestClassesAreUnicode sees to the rest.
func TestSplitCodePoints(t *testing.T) {
	var texts []string
	var b strings.Builder
	for c, step := rune(0), rune(1); c <= unicode.MaxRune; c += step {
		switch {
		case c >= 0x3400 && c < 0x9FA0, c >= 0xAC00 && c < 0xD7A0:
			step = 11
		case c < 0x10000 && !slowHere, c >= 0xE0000 && c < 0xE0200, c >= 0x10FFF0:
			step = 1
		case c < 0x20000:
			step = 3
		case c < 0x40000:
			step = 31
		case c < 0xE0000:
			c = 0xE0000
		default:
			c = 0x10FFF0
		}
		if !utf8.ValidRune(c) {
			continue
		}
		b.WriteString("a ")
		b.WriteRune(c)
		b.WriteString("1")
		if c%2 == 0 {
			b.WriteRune(c)
		}
		if b.Len() > 300 {
			texts = append(texts, b.String())
			b.Reset()
		}
	}
	compareSplits(t, append(texts, b.String()))
}

func TestClassesAreUnicode(t *testing.T) {
	c := newClasses()
	buf := make([]byte, 0, 4)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		buf = utf8.AppendRune(buf[:0], r)
		got, n := c.at(buf)
		want := [6]bool{unicode.Is(unicode.L, r), unicode.Is(unicode.N, r), unicode.IsSpace(r), unicode.Is(unicode.P, r), unicode.Is(unicode.M, r), unicode.Is(unicode.S, r)}
		have := [6]bool{got&letter != 0, got&number != 0, got&space != 0, got&punct != 0, got&combining != 0, got&symbolic != 0}
		if have != want || n != len(buf) {
			t.Fatalf("%U: letter, number, space, punctuation, mark, symbol are %v, want %v; length %d", r, have, want, n)
		}
	}
	t.Logf("Unicode %s; the table takes %d bytes", unicode.Version, c.stateBytes())
}
