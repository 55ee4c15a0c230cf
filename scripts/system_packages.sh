#!/usr/bin/env bash
# Installs what the browser tests need, where the user may. Elsewhere those tests skip and say so.
set -uo pipefail
have_browser() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
have_fonts() { command -v fc-list >/dev/null && fc-list :lang=ko 2>/dev/null | grep -q .; }

if have_browser && have_fonts; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Chromium or a Korean font is missing and cannot be installed by this user: browser tests will skip."
    echo "To run them: apt-get install chromium fonts-noto-cjk"
    exit 0
fi
echo "Installing Chromium and a Korean font for the browser tests …"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk fontconfig; } >/dev/null 2>&1 ||
    echo "They could not be installed: browser tests will skip."
exit 0
