// SPDX-License-Identifier: Apache-2.0
declare module "asciinema-player/dist/bundle/asciinema-player.css" {
  const text: string;
  export default text;
}
declare module "*.css";
