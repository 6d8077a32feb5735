package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

const (
	// noticeEvery is how often the provider is asked whether it takes the
	// machine back, as AWS advises.
	noticeEvery = 5 * time.Second
	// lastCall is how long before the machine goes the node has let go.
	lastCall = 10 * time.Second
	// shortNotice is what a node takes for itself however late it is.
	shortNotice = 5 * time.Second
	// exitTaken is the exit code of a job whose machine is taken back: 128 and
	// SIGTERM, as a shell says of a process that was asked to end.
	exitTaken = 128 + 15
)

// taken is why a job is ended: the provider takes the machine back.
type taken struct{ Notice }

func (t *taken) Error() string {
	return fmt.Sprintf("interrupted: the provider will %s this machine at %s", t.Action, t.At.Format(time.RFC3339))
}

// watch asks for a notice until there is one, and acts on it. That the
// question cannot be asked ends nothing: the machine is still ours.
func (a *Agent) watch(ctx context.Context, w *work) error {
	tick := time.NewTicker(noticeEvery)
	defer tick.Stop()
	silent := false
	for {
		n, err := a.Metadata.Notice(ctx)
		if err == nil && n != (Notice{}) {
			w.evict(ctx, n)
			return nil
		}
		if err != nil && !silent && ctx.Err() == nil {
			a.Logger.WarnContext(ctx, "notices cannot be read", "error", err.Error())
		}
		silent = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-w.letGo:
			return nil
		case <-tick.C:
		}
	}
}

// evict ends the job and leaves it the time there is to return what it left.
// Then the node lets go, whether or not the controller has heard of it.
func (w *work) evict(ctx context.Context, n Notice) {
	w.agent.Logger.WarnContext(ctx, "machine is taken back", "action", n.Action, "at", n.At)
	w.interrupt(&taken{n})
	end := time.NewTimer(max(time.Until(n.At)-lastCall, shortNotice))
	defer end.Stop()
	select {
	case <-ctx.Done():
	case <-w.letGo:
	case <-end.C:
		w.release()
	}
}

// taken is the notice that ended the job, or nil.
func (w *work) taken() *taken {
	t, _ := errors.AsType[*taken](context.Cause(w.jobCtx))
	return t
}

// rescue returns those outputs that an interrupted job has left, a checkpoint
// most likely, and says how the job ended.
func (w *work) rescue(t *taken, out string) *exitError {
	var returned, lost []string
	root, err := os.OpenRoot(out)
	if err == nil {
		defer root.Close()
		for _, name := range w.answer.Job.Outputs {
			switch err := w.put(root, name); {
			case err == nil:
				returned = append(returned, name)
			case !errors.Is(err, fs.ErrNotExist):
				w.agent.Logger.WarnContext(w.ctx, "output not returned", "name", name, "error", err.Error())
				lost = append(lost, name)
			}
		}
	}
	said := t.Error() + "; returned: " + list(returned)
	if len(lost) > 0 {
		said += "; not returned: " + list(lost)
	}
	return &exitError{exitTaken, said}
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
