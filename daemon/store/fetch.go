package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"siskin/model/gguf"
)

// tryAgain is a failure that another try may cure.
type tryAgain struct {
	why     string
	wait    time.Duration // what the server asks for, 0 if it does not
	restart bool          // what is there is of another file and is gone; go on at once
}

func (e *tryAgain) Error() string { return e.why }

// errStalled ends a connection that brings nothing.
var errStalled = errors.New("no data arrived in time")

// download fetches the file into the .part, in as many tries as it takes and is allowed. It is errPresent if the file turns
// out to be there.
func (p *pull) download(ctx context.Context) error {
	if p.part.origin.URL != address(p.src.url) {
		if err := p.part.reset(origin{Size: -1}); err != nil {
			return err
		}
	}
	if p.part.complete() {
		p.report(p.part.done, p.part.done, true)
		return nil
	}
	failures, wait := 0, p.opt.RetryWait
	for {
		before := p.part.done
		err := p.attempt(ctx)
		if err == nil || errors.Is(err, errPresent) {
			return err
		}
		if ctx.Err() != nil {
			return &Error{p.src.text, fmt.Sprintf("was not fetched (%v); %s are kept for the next time", context.Cause(ctx), size(p.part.done)), ctx.Err()}
		}
		var again *tryAgain
		if !errors.As(err, &again) {
			return err
		}
		if again.restart {
			if p.restarts++; p.restarts > maxRestarts {
				return &Error{p.src.text, "keeps changing while it is fetched: pull it later", ErrServer}
			}
			p.opt.Notice(fmt.Sprintf("%s begins anew: %s", p.src.text, again.why))
			continue
		}
		if p.part.done-before >= usefulTry {
			failures, wait = 0, p.opt.RetryWait
		}
		if failures++; failures >= p.opt.Tries {
			return &Error{p.src.text, fmt.Sprintf("could not be fetched in %d tries, at last: %s; %s are kept for the next time", failures, again.why, size(p.part.done)), ErrServer}
		}
		if again.wait > p.opt.MaxWait {
			return &Error{p.src.text, fmt.Sprintf("%s; the server wants a pause of %v: pull it later", again.why, again.wait), ErrServer}
		}
		// Jitter keeps a fleet from coming back in step.
		pause := max(again.wait, wait/2+rand.N(wait))
		wait = min(2*wait, maxRetryWait)
		p.opt.Notice(fmt.Sprintf("%s: %s; another try in %v", p.src.text, again.why, pause.Round(100*time.Millisecond)))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// attempt makes one request and writes what it brings. nil means the file is complete.
func (p *pull) attempt(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(p.opt.StallTimeout, func() { cancel(errStalled) })
	defer watch.Stop()
	req, err := p.request(ctx)
	if err != nil {
		return err
	}
	var hub hubFacts
	client := http.Client{Transport: p.opt.Transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		hub.note(p, req.Response)
		return p.mayFollow(req.URL, len(via))
	}}
	resp, err := client.Do(req)
	if err != nil {
		return p.connectError(ctx, err)
	}
	defer resp.Body.Close() // the body is read to where it is wanted
	watch.Reset(p.opt.StallTimeout)
	hub.note(p, resp)
	if err := p.checkStatus(resp); err != nil {
		return err
	}
	if err := p.begin(ctx, resp, hub); err != nil {
		return err
	}
	return p.receive(ctx, resp.Body, watch)
}

// request asks for what is missing, under the condition that the file is still the same.
func (p *pull) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.src.url.String(), nil)
	if err != nil {
		return nil, &Error{p.src.text, "is not a valid address", ErrSource}
	}
	req.Header.Set("User-Agent", "siskin")
	req.Header.Set("Accept-Encoding", "identity")
	if p.src.hub && p.opt.Token != "" {
		req.Header.Set("Authorization", "Bearer "+p.opt.Token)
	}
	if p.part.done == 0 {
		return req, nil
	}
	o := p.part.origin
	strong := o.ETag != "" && !strings.HasPrefix(o.ETag, "W/")
	switch {
	case strong:
		req.Header.Set("If-Range", o.ETag)
	case o.Modified != "":
		req.Header.Set("If-Range", o.Modified)
	case p.src.sum == "" && o.SHA256 == "":
		// Nothing would tell a changed file from the same one.
		p.opt.Notice(p.src.text + " begins anew: the server does not say whether the file is still the same")
		return req, p.part.reset(origin{Size: -1})
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.part.done))
	return req, nil
}

// mayFollow keeps redirects few and encrypted.
func (p *pull) mayFollow(to *url.URL, n int) error {
	if n >= 10 {
		return &Error{p.src.text, "leads from one address to the next, more than ten times", ErrServer}
	}
	if to.Scheme == "https" || (to.Scheme == "http" && p.src.url.Scheme == "http" && isLoopback(to.Hostname())) {
		return nil
	}
	return &Error{p.src.text, fmt.Sprintf("is redirected to %s, which is not encrypted and was refused", clip(plain(to))), ErrSource}
}

// connectError tells failures that will stay from those that may pass.
func (p *pull) connectError(ctx context.Context, err error) error {
	var own *Error
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(context.Cause(ctx), errStalled):
		return &tryAgain{why: fmt.Sprintf("no answer within %v", p.opt.StallTimeout)}
	case errors.As(err, &cert):
		return &Error{p.src.text, fmt.Sprintf("has a certificate that is not trusted (%v): check address and clock", cert.Err), errors.Join(ErrServer, err)}
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{p.src.text, fmt.Sprintf("is on the host %q, which does not exist or cannot be found: check address and network", dns.Name), errors.Join(ErrServer, err)}
	}
	// Without method and address, which may hold secrets.
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return &tryAgain{why: err.Error()}
}

// hubFacts is what the hub's own answers say of a file; the servers it redirects to are not believed.
type hubFacts struct {
	sum  string
	size int64 // 0 unknown
}

func (h *hubFacts) note(p *pull, resp *http.Response) {
	if !p.src.hub || resp == nil || resp.Request == nil || resp.Request.URL.Host != p.src.url.Host {
		return
	}
	etag := resp.Header.Get("X-Linked-Etag")
	if etag == "" && h.sum == "" {
		etag = resp.Header.Get("ETag")
	}
	if sum := strings.Trim(etag, `"`); isSum(sum) {
		h.sum = strings.ToLower(sum)
	}
	if n, err := strconv.ParseInt(resp.Header.Get("X-Linked-Size"), 10, 64); err == nil && n > 0 {
		h.size = n
	}
}

// checkStatus turns all but 200 and 206 into an error.
func (p *pull) checkStatus(resp *http.Response) error {
	code := resp.StatusCode
	switch {
	case code == http.StatusOK, code == http.StatusPartialContent:
		return nil
	case code == http.StatusRequestedRangeNotSatisfiable && p.part.done > 0:
		return p.restart("the server has fewer bytes than were fetched")
	case code == http.StatusNotFound, code == http.StatusGone:
		return &Error{p.src.text, fmt.Sprintf("is not there (the server says %d): check owner, repository and file name", code), ErrNotFound}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return &Error{p.src.text, fmt.Sprintf("may not be fetched (the server says %d): it does not exist, is private, or wants an agreement on its web page; "+
			"then use a token, or download it in a browser and pull the path", code), ErrForbidden}
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return &tryAgain{why: fmt.Sprintf("the server says %d %s", code, http.StatusText(code)), wait: retryAfter(resp.Header.Get("Retry-After"))}
	}
	return &Error{p.src.text, fmt.Sprintf("could not be fetched: the server says %d %s", code, http.StatusText(code)), ErrServer}
}

// retryAfter understands seconds and dates; 0 if neither.
func retryAfter(v string) time.Duration {
	if n, err := strconv.ParseInt(v, 10, 32); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(time.Until(t), 0)
	}
	return 0
}

// restart throws away what is there, because it is of another file.
func (p *pull) restart(why string) error {
	if err := p.part.reset(origin{Size: -1}); err != nil {
		return err
	}
	return &tryAgain{why: why, restart: true}
}

// begin compares the answer with what is known of the file, decides whether to go on or to begin anew, and checks that the
// rest fits the disk.
func (p *pull) begin(ctx context.Context, resp *http.Response, hub hubFacts) error {
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return &Error{p.src.text, fmt.Sprintf("comes in the encoding %q, which was not asked for", clip(enc)), ErrServer}
	}
	now := origin{URL: address(p.src.url), ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified"), Size: -1, SHA256: hub.sum}
	var err error
	if resp.StatusCode == http.StatusPartialContent {
		err = p.resume(&now, resp.Header.Get("Content-Range"))
	} else {
		now.Size = resp.ContentLength
		err = p.beginAnew(now)
	}
	if err != nil {
		return err
	}
	if err := p.checkHub(now, hub); err != nil {
		return err
	}
	if err := p.sameAs(ctx, hub.sum); err != nil {
		return err
	}
	return checkSpace(p.opt.Dir, max(now.Size-p.part.done, 0), p.opt.Margin)
}

// resume accepts a partial answer that goes on with what is there; it fills in the size of now.
func (p *pull) resume(now *origin, header string) error {
	start, total, ok := contentRange(header)
	if !ok || start != p.part.done {
		return p.wrongRange(header)
	}
	now.Size = total
	if why := p.part.origin.differs(*now); p.part.done > 0 && why != "" {
		return p.restart(why)
	}
	p.part.origin = p.part.origin.merge(*now)
	return nil
}

// beginAnew accepts a whole file.
func (p *pull) beginAnew(now origin) error {
	if p.part.done > 0 {
		// Either the range was ignored or the file is another one: this is it from the start.
		if p.restarts++; p.restarts > maxRestarts {
			return &Error{p.src.text, "cannot be resumed, and breaks off again and again: pull it later", ErrServer}
		}
		p.opt.Notice(fmt.Sprintf("%s begins anew: the file changed, or the server cannot resume", p.src.text))
	}
	return p.part.reset(now)
}

// checkHub compares what is offered with what the hub says of the file.
func (p *pull) checkHub(now origin, hub hubFacts) error {
	if hub.size > 0 && now.Size >= 0 && hub.size != now.Size {
		p.part.discard()
		return &Error{p.src.text, fmt.Sprintf("has %d bytes according to the hub, but %d are offered", hub.size, now.Size), ErrLength}
	}
	if want := p.src.sum; want != "" && hub.sum != "" && want != hub.sum {
		p.part.discard()
		return &Error{p.src.text, fmt.Sprintf("has the SHA-256 %s according to the hub, not %s", hub.sum, want), ErrSum}
	}
	return nil
}

// wrongRange handles a partial answer that does not begin where it was asked to.
func (p *pull) wrongRange(header string) error {
	if p.part.done > 0 {
		return p.restart(fmt.Sprintf("the server answered with the range %q", clip(header)))
	}
	return &Error{p.src.text, fmt.Sprintf("was asked for whole, but the server sends the range %q", clip(header)), ErrServer}
}

// differs says why now is not the same file as o; empty if nothing speaks against it.
func (o origin) differs(now origin) string {
	switch {
	case o.Size >= 0 && now.Size >= 0 && o.Size != now.Size:
		return fmt.Sprintf("its size changed from %d to %d bytes", o.Size, now.Size)
	case o.ETag != "" && now.ETag != "" && o.ETag != now.ETag:
		return "its ETag changed"
	case o.ETag == "" && o.Modified != "" && now.Modified != "" && o.Modified != now.Modified:
		return "its time of modification changed"
	case o.SHA256 != "" && now.SHA256 != "" && o.SHA256 != now.SHA256:
		return "its SHA-256 changed"
	}
	return ""
}

// merge is o with what now adds or confirms.
func (o origin) merge(now origin) origin {
	o.URL, o.ETag, o.Modified = now.URL, cmp.Or(now.ETag, o.ETag), cmp.Or(now.Modified, o.Modified)
	o.SHA256 = cmp.Or(now.SHA256, o.SHA256)
	if now.Size >= 0 {
		o.Size = now.Size
	}
	return o
}

// contentRange reads "bytes START-END/TOTAL"; total is -1 for "*".
func contentRange(v string) (start, total int64, ok bool) {
	rest, isBytes := strings.CutPrefix(v, "bytes ")
	span, all, ok1 := strings.Cut(rest, "/")
	from, to, ok2 := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(from, 10, 64)
	end, err2 := strconv.ParseInt(to, 10, 64)
	if !isBytes || !ok1 || !ok2 || err1 != nil || err2 != nil || start < 0 || end < start {
		return 0, 0, false
	}
	if all == "*" {
		return start, -1, true
	}
	total, err := strconv.ParseInt(all, 10, 64)
	return start, total, err == nil && total > end
}

// receive writes the body to the end of the .part. nil means the file is complete.
func (p *pull) receive(ctx context.Context, body io.Reader, watch *time.Timer) error {
	total := p.part.origin.Size
	buf := make([]byte, 256<<10)
	p.report(p.part.done, total, true)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			watch.Reset(p.opt.StallTimeout)
			if err := p.take(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
			continue
		case err != io.EOF && errors.Is(context.Cause(ctx), errStalled):
			return &tryAgain{why: fmt.Sprintf("no data for %v", p.opt.StallTimeout)}
		case err != io.EOF:
			return &tryAgain{why: "the connection broke: " + err.Error()}
		case total >= 0 && p.part.done < total:
			return &tryAgain{why: fmt.Sprintf("the connection ended after %d of %d bytes", p.part.done, total)}
		}
		p.part.origin.Size = p.part.done
		p.report(p.part.done, p.part.done, true)
		return nil
	}
}

// take writes bytes that arrived, within the announced length, and syncs now and then.
func (p *pull) take(b []byte) error {
	total := p.part.origin.Size
	if total >= 0 && int64(len(b)) > total-p.part.done {
		p.part.discard()
		return &Error{p.src.text, fmt.Sprintf("is longer than the %d bytes that were announced, and was thrown away: doubt the source", total), ErrLength}
	}
	if p.part.done == 0 && len(b) >= 4 && string(b[:4]) != "GGUF" {
		// Not worth the rest. The parser knows the usual mix-ups by name.
		_, err := gguf.Parse(b)
		p.part.discard()
		return &Error{p.src.text, err.Error(), errors.Join(ErrNotModel, err)}
	}
	if _, err := p.part.Write(b); err != nil {
		return err
	}
	p.report(p.part.done, total, false)
	if p.part.done-p.part.origin.Synced < syncEvery {
		return nil
	}
	if err := p.part.sync(); err != nil {
		return err
	}
	return checkSpace(p.opt.Dir, 0, p.opt.Margin)
}
