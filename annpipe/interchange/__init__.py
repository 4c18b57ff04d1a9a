"""A saved model in the formats of other tools, ONNX and torch.export's .pt2, compared with its own answers.

    SavedNetwork ──Program──▶ torch.export / torch.onnx ──▶ bytes with a Signature ──compare──▶ Parity

`program` is the whole way from raw columns to answers as one module, `signature` what a file takes and gives,
`onnx_file` and `torch_file` write the formats, `parity` compares what they answer with the saved model's own answers.
"""
