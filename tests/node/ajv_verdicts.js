// ajv_verdicts.js - what ajv, in strict mode, says of many documents, in one process.
//
// Input, on standard input: { "NAME": { "schema": SCHEMA, "pointer": "" | "#/$defs/PART", "documents": [TEXT, ...] } }
// Output: { "NAME": [true | false | null, ...] }, null where the text is not JSON.
"use strict";

const Ajv2020 = require("ajv/dist/2020").default;

function verdicts({ schema, pointer, documents }) {
    // What is misspelt in a schema, or says nothing where it stands, is an error here and not passed over.
    const ajv = new Ajv2020({ strict: true, allErrors: false, validateFormats: true });
    ajv.addSchema(schema);
    const validate = ajv.compile({ $ref: schema.$id + pointer });
    return documents.map((text) => {
        let document;
        try {
            document = JSON.parse(text);
        } catch {
            return null;
        }
        return validate(document);
    });
}

let input = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
    const answer = {};
    for (const [name, batch] of Object.entries(JSON.parse(input))) {
        answer[name] = verdicts(batch);
    }
    process.stdout.write(JSON.stringify(answer));
});
