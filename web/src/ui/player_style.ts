// SPDX-License-Identifier: Apache-2.0
// The player's own styles, taken in with it: a sheet that is made here needs no inline style.
import css from "asciinema-player/dist/bundle/asciinema-player.css" with { type: "text" };

export function adopt(): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}
