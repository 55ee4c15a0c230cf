// What every page loads. Each module adds one thing to pages that work without any of them.
import { listen as keys } from "./keys.js";
import { listen as forms } from "./forms.js";
import { listen as panels } from "./panels.js";

forms();
panels();
keys();
