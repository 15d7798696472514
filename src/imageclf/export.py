"""imageclf-export: a finished run as a folder for stock timm, or as a file for onnxruntime."""

from imageclf.configs import command

main = command("commands/export", __doc__)

if __name__ == "__main__":
    main()
