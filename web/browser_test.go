package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser starts a real browser if the machine has one.
func browser(t *testing.T) context.Context {
	var path string
	for _, name := range []string{"chromium-headless-shell", "headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no browser is installed: chromium-headless-shell, chromium or google-chrome")
	}
	// Root has no sandbox. It is not needed, because the pages are our own.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	require.NoError(t, chromedp.Do(ctx)) // the browser lives as long as the context of its first use
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	return ctx
}

// becomes waits until an expression is true in the page.
func becomes(format string, args ...any) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(format, args...))
}

func shows(mode string) chromedp.Action[chromedp.Void] {
	return becomes(`document.getElementById("mode").textContent === %q`, mode)
}

// press clicks the switch when it is enabled. It does so in the page, because a newer rendering may
// replace the node at any time.
var press = becomes(`(b => b && !b.disabled && (b.click(), true))(document.getElementById("switch"))`)

// textOf reads a text in the page, for the same reason.
func textOf(t *testing.T, ctx context.Context, selector string) string {
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q).textContent`, selector)))
	require.NoError(t, err)
	return text
}

// TestConnectionPageInABrowser shows that the header follows the mode. The button on the page is
// operation 917.
func TestConnectionPageInABrowser(t *testing.T) {
	ctx := browser(t)
	s := linkedShop(t)
	server := httptest.NewServer(s.api)
	defer server.Close()
	defer server.CloseClientConnections() // the page never closes its event stream
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(server.URL+"/connection"),
		shows("online"),
		press,
		becomes(`document.getElementById("said").textContent !== ""`),
	))
	require.Contains(t, textOf(t, ctx, "#said"), "signed on", "who is not signed on at this browser throws no switch")
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.cookie = "%s=%s; path=/"`, sessionCookie, s.token)),
		press, shows("offline"),
		press, shows("online"),
	))
	require.NoError(t, s.SetLink(false))
	require.NoError(t, chromedp.Do(ctx, shows("offline")))
}

// TestOfficePageInABrowser shows that head office's page asks for the token once, and then keeps
// itself current.
func TestOfficePageInABrowser(t *testing.T) {
	ctx := browser(t)
	s, office := officeAndShop(t, time.Now)
	server := httptest.NewServer(HQ(office, "secret", slog.New(slog.DiscardHandler)))
	defer server.Close()
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(server.URL),
		chromedp.SendKeys("input[name=token]", "guess\r"),
		chromedp.WaitVisible(".warning"),
	))
	require.Contains(t, textOf(t, ctx, ".warning"), "not head office's token")
	require.NoError(t, chromedp.Do(ctx, chromedp.SendKeys("input[name=token]", "secret\r"), chromedp.WaitVisible("#status")))
	require.Contains(t, textOf(t, ctx, "#status"), "s001-r01")
	rendered := textOf(t, ctx, "footer")
	require.NotContains(t, textOf(t, ctx, "#status"), "13.05")
	s.sell() // 2 of 2.55 and one of 7.95
	require.NoError(t, chromedp.Do(ctx,
		becomes(`document.querySelector("footer").textContent !== %q`, rendered),
		becomes(`[...document.querySelectorAll("#status td.number")].some(cell => cell.textContent === "13.05")`),
	))
	require.NotContains(t, textOf(t, ctx, "#status"), "1305")
}
