/** AssemblyScript -> module. */
export {
  BuildError,
  Builder,
  type BuildMessage,
  type BuildRequest,
  type BuiltApp,
  buildApp,
  formatMessage,
} from "./app.js";
export { writeEditorTypes } from "./editor-types.js";
