/** Says of each request what it has understood: fuzzing compares that. */
import { app, Context } from "@weir/guest/http";

app.bodyLimit = 3000;

function told(value: string | null): string { return value === null ? "-" : value; }

function answer(c: Context): void {
  c.set("x-test", told(c.header("x-test")));
  c.text(`${c.method} ${c.path} ${told(c.query("q"))} ${c.param("id")} ${c.body.length} ${c.body.toString()}`);
}

app.all("/things/:id", answer);
app.all("/*", answer);
