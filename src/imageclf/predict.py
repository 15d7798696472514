"""imageclf-predict: predict pictures with a finished run, into a CSV."""

from imageclf.configs import command

# Below commands/: beside the config groups, `data=FOLDER` would choose from the group of that name.
main = command("commands/predict", __doc__)

if __name__ == "__main__":
    main()
