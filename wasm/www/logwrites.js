/** The package, from where it stands. In the site it stands in a folder beside this file: see build. */

export * from "../js/index.js";
