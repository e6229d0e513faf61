// SPDX-License-Identifier: Apache-2.0
// The console: who is asking, then the page that the address names.
import { render } from "preact";
import "./style.css";

render(<main class="lone">Sallyport</main>, document.getElementById("console")!);
